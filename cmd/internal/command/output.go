package command

import (
	"errors"
	"strings"
)

const (
	maxOutput = 64<<20 + 1 // with the last newline
	maxStderr = 4 << 10
)

var errTooLarge = errors.New("the output is above the bound of 64 MiB")

// An output is a writer that keeps up to maxOutput bytes.
type output struct {
	text     strings.Builder
	tooLarge func(error) // is called above the bound
}

// Write fails above the bound.
func (o *output) Write(b []byte) (int, error) {
	if o.text.Len()+len(b) > maxOutput {
		o.tooLarge(errTooLarge)
		return 0, errTooLarge
	}
	if o.text.Cap()-o.text.Len() < len(b) {
		o.text.Grow(max(len(b), o.text.Len())) // doubles it: the default growth by a quarter copies four times as much
	}
	return o.text.Write(b)
}

// A tail is a writer that keeps the last maxStderr bytes.
type tail struct {
	last []byte
	cut  bool
}

// Write never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.last = append(t.last, b[max(0, len(b)-maxStderr):]...)
	if over := max(len(t.last), len(b)) - maxStderr; over > 0 {
		t.cut = true
		t.last = append(t.last[:0], t.last[len(t.last)-maxStderr:]...)
	}
	return len(b), nil
}

// String returns the tail as text without the space around it.
func (t *tail) String() string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.last), "\uFFFD"))
	if t.cut {
		return "..." + text
	}
	return text
}
