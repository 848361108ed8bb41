package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dqbridge/dqbridge/cmd/internal/jobs"
	"github.com/dqbridge/dqbridge/cmd/internal/nearest"
	"github.com/dqbridge/dqbridge/executor"
)

// Errors is what becomes of the place of a failed item in the output.
type Errors string

// What can be chosen by --errors.
const (
	Skip   Errors = "skip"   // its line is left out
	Inline Errors = "inline" // the text of its error
	Stop   Errors = "stop"   // the output ends there
)

// ParseErrors reads --errors.
func ParseErrors(text string) (Errors, error) {
	names := []string{string(Skip), string(Inline), string(Stop)}
	for _, name := range names {
		if text == name {
			return Errors(name), nil
		}
	}
	return "", Usagef("unknown --errors %q: %s", text, nearest.Suggest(text, names))
}

// ItemsFailed is the error of a stream that has come to its end with failures.
type ItemsFailed struct {
	Failed, Total int64
	First         string // the first failure, "" where it stands in the output
}

// Error tells how many there are, in one line.
func (f ItemsFailed) Error() string {
	text := fmt.Sprintf("%d of %d items failed", f.Failed, f.Total)
	switch {
	case f.First == "":
		return text
	case f.Failed == 1:
		return text + ": " + f.First
	}
	return text + ", the first: " + f.First
}

// describe tells in one line why an item failed.
func describe(e *executor.ItemError) string {
	text := e.Error()
	if e.Code != "error" && !strings.HasPrefix(e.Message, e.Code+":") {
		text = e.Code + ": " + text
	}
	return Printable(text)
}

// StreamBroken is the error of a stream that has ended before its end.
type StreamBroken struct{ Cause error }

// Error returns the cause.
func (b StreamBroken) Error() string { return Printable(b.Cause.Error()) }

// Unwrap returns the cause.
func (b StreamBroken) Unwrap() error { return b.Cause }

// Halted is the error of a run that --halt has ended.
type Halted struct {
	By     jobs.Halt
	Status int   // of the exit of a run of commands
	Cause  error // the items that failed; nil: none
}

// AsHalted makes the error of a run that a Breaker has halted a Halted.
func AsHalted(b *jobs.Breaker, err error) error {
	var failed ItemsFailed
	if !b.IsHalted() || err != nil && !errors.As(err, &failed) {
		return err
	}
	return Halted{b.Halt, b.Status(), err}
}

// Error returns the condition and the failures.
func (h Halted) Error() string {
	text := fmt.Sprintf("halted by --halt %v", h.By)
	if h.Cause != nil {
		text += ": " + h.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (h Halted) Unwrap() error { return h.Cause }
