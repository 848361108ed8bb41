package cli

import (
	"io"
	"sync"
)

const eraseLine = "\r\x1b[K"

// A Console is stderr, on which one line at the bottom may be rewritten. Its
// methods can be called from many goroutines.
type Console struct {
	mu    sync.Mutex
	w     io.Writer
	shown bool
}

// NewConsole returns a Console on w.
func NewConsole(w io.Writer) *Console { return &Console{w: w} }

// Write writes text that stays, in place of the status line.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	return c.w.Write(p)
}

// Status shows text as the status line.
func (c *Console) Status(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := io.WriteString(c.w, eraseLine+text)
	c.shown = err == nil
}

// Clear takes the status line away.
func (c *Console) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
}

func (c *Console) erase() {
	if c.shown {
		_, _ = io.WriteString(c.w, eraseLine) // it is only a picture
		c.shown = false
	}
}
