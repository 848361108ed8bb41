package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dqbridge/dqbridge/cmd/internal/jobs"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/nearest"
)

// An ErrorPolicy is the output of a failed item.
type ErrorPolicy string

// The values of --errors.
const (
	Skip   ErrorPolicy = "skip"   // no line
	Inline ErrorPolicy = "inline" // the text of its error
	Stop   ErrorPolicy = "stop"   // the output ends before it
)

// ParseErrors parses the value of --errors.
func ParseErrors(text string) (ErrorPolicy, error) {
	names := []string{string(Skip), string(Inline), string(Stop)}
	for _, name := range names {
		if text == name {
			return ErrorPolicy(name), nil
		}
	}
	return "", Usagef("unknown --errors %q: %s", text, nearest.Suggest(text, names))
}

// ItemsFailed is the error of a complete stream with failed items.
type ItemsFailed struct {
	Failed, Total int64  // Total is 0 if it is not known
	First         string // the first failure; empty if the output has it
}

// Error returns the numbers of items and the first failure, in one line.
func (f ItemsFailed) Error() string {
	text := fmt.Sprintf("%d of %d items failed", f.Failed, f.Total)
	switch {
	case f.Total == 0 && f.Failed == 1:
		text = "1 item failed"
	case f.Total == 0:
		text = fmt.Sprintf("%d items failed", f.Failed)
	}
	switch {
	case f.First == "":
		return text
	case f.Failed == 1:
		return text + ": " + f.First
	}
	return text + ", the first: " + f.First
}

func (p *Printer) itemsFailed() ItemsFailed {
	if p.Counted {
		return ItemsFailed{Failed: p.failed, First: p.first}
	}
	return ItemsFailed{p.failed, p.total, p.first}
}

// describe returns the error of an item in one line.
func describe(e *executor.ItemError) string {
	text := e.Error()
	if e.Code != "error" && !strings.HasPrefix(e.Message, e.Code+":") {
		text = e.Code + ": " + text
	}
	return Printable(text)
}

// StreamBroken is the error of an incomplete stream.
type StreamBroken struct{ Cause error }

// Error returns the cause.
func (b StreamBroken) Error() string { return Printable(b.Cause.Error()) }

// Unwrap returns the cause.
func (b StreamBroken) Unwrap() error { return b.Cause }

// Halted is the error of a run that --halt has ended.
type Halted struct {
	By     jobs.Halt
	Status int   // exit status of a run of commands
	Cause  error // the items that failed; nil: none
}

// AsHalted returns err, or a Halted with err if b has halted the run and err is nil or ItemsFailed.
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
