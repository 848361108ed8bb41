package cli

import (
	"io"
	"sync"
)

const eraseLine = "\r\x1b[K"

// A Console is stderr with a status line at its bottom. Its methods may be called concurrently.
type Console struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	shown    bool // the status line
}

// NewConsole returns a Console on w.
func NewConsole(w io.Writer) *Console { return &Console{w: w, terminal: IsTerminal(w)} }

// Write replaces the status line by permanent text. On a terminal, it escapes control characters
// other than tabs and newlines.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
	if !c.terminal {
		return c.w.Write(p)
	}
	if _, err := c.w.Write(escapeLines(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Width returns the largest number of columns of a status line.
func (c *Console) Width() int { return width(c.w) - 1 } // some terminals begin the next line after the last column

// Status shows text as the status line, cut to Width.
func (c *Console) Status(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := io.WriteString(c.w, eraseLine+text[:max(0, min(len(text), c.Width()))])
	c.shown = err == nil
}

// Clear removes the status line.
func (c *Console) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erase()
}

func (c *Console) erase() {
	if c.shown {
		_, _ = io.WriteString(c.w, eraseLine) // an error of the status line has no effect
		c.shown = false
	}
}
