package batch

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"unicode/utf8"
)

const (
	maxText  = 4 << 10
	maxStack = 8 << 10
)

// A Crash is the error of user code that panicked. Its text includes the stack.
type Crash struct{ Text, Stack string }

// Error returns the text and the stack.
func (c *Crash) Error() string { return c.Text + "\n\n" + c.Stack }

// NewCrash returns a Crash with the text "<what> panicked: <recovered>". Call it in the deferred
// function that recovers.
func NewCrash(what string, recovered any) *Crash {
	return &Crash{Text: what + " panicked: " + Text(recovered), Stack: Stack(debug.Stack())}
}

// Describe returns the text of an error. If the error is a Crash, it returns its stack separately.
func Describe(err error) (text, stack string) {
	var crash *Crash
	if errors.As(err, &crash) {
		return crash.Text, crash.Stack
	}
	return Text(err), ""
}

// Text returns the text of an error, or of a value that was passed to panic, cut to about 4 KiB. It
// recovers a panic of the value's Error or String method.
func Text(v any) (text string) {
	defer func() {
		if recover() != nil { // fmt recovers a panic of the method, but not a panic of that panic's value
			text = fmt.Sprintf("a %T whose text cannot be made", v)
		}
	}()
	if text = fmt.Sprint(v); text == "" {
		return fmt.Sprintf("an error without a text, of type %T", v)
	}
	return truncate(text, maxText)
}

// Stack cuts a stack to the frames from the panicking one on, and to about 8 KiB.
func Stack(stack []byte) string {
	text := string(stack)
	if _, below, ok := strings.Cut(text, "\npanic("); ok {
		_, below, _ = strings.Cut(below, "\n") // drop the arguments
		_, text, _ = strings.Cut(below, "\n")  // drop the line number
	}
	return truncate(strings.TrimSuffix(text, "\n"), maxStack)
}

// truncate shortens text to about size bytes, between two runes.
func truncate(text string, size int) string {
	if len(text) <= size {
		return text
	}
	end := size
	for end > size-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}
