package cli

import (
	"io"
	"sync"
)

const eraseLine = "\r\x1b[K"

// A Console is stderr, on which one line at the bottom may be rewritten. Its
// methods can be called from many goroutines.
type Console struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	shown    bool
}

// NewConsole returns a Console on w.
func NewConsole(w io.Writer) *Console { return &Console{w: w, terminal: IsTerminal(w)} }

// Write writes text that stays, in place of the status line. A terminal gets no control characters but tabs and
// newlines.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	if !c.terminal {
		return c.w.Write(p)
	}
	if _, err := c.w.Write(harmless(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Width is how many columns a status line may have.
func (c *Console) Width() int { return width(c.w) - 1 } // in the last column, some terminals begin the next line

// Status shows text as the status line, as much of it as fits.
func (c *Console) Status(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := io.WriteString(c.w, eraseLine+text[:max(0, min(len(text), c.Width()))])
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
