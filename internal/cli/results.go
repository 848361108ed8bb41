package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// ErrOutputClosed says that nobody reads stdout any more, as behind `| head`.
var ErrOutputClosed = errors.New("stdout is closed")

func outputError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE):
		return ErrOutputClosed
	}
	return fmt.Errorf("write stdout: %w", err)
}

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
	return "", Usagef("unknown --errors %q: %s", text, Instead(text, names))
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

const (
	outputSize = 64 << 10
	// settled is how long the output is kept together while results come one
	// by one but fast.
	settled = 5 * time.Millisecond
	// redraw is how often the progress is shown.
	redraw = 200 * time.Millisecond
)

// A Printer prints results as lines. What lies in it is written as soon as no
// further result is there.
type Printer struct {
	Out     io.Writer
	Console *Console
	Name    string // of the command, before each failure
	Errors  Errors
	Each    bool // each failure goes to the Console as it comes
	// Progress makes the status line, nil for none.
	Progress *Progress

	out     *bufio.Writer
	flushed time.Time
	total   int64
	failed  int64
	first   string // failure
}

var errStop = errors.New("a failed item ends the output")

// Print prints results until there are no more. It returns ItemsFailed where
// there are failures, and the cause of ctx when that has ended.
func (p *Printer) Print(ctx context.Context, results <-chan bridge.Result[codec.Item]) error {
	p.out = bufio.NewWriterSize(p.Out, outputSize)
	err := p.loop(ctx, results)
	p.Console.Clear()
	stopped := errors.Is(err, errStop)
	if stopped {
		err = nil
	}
	err = errors.Join(err, p.flush())
	switch {
	case err != nil:
		return err
	case stopped:
		return ItemsFailed{p.failed, p.total, p.first}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case p.failed > 0:
		return ItemsFailed{p.failed, p.total, p.first}
	}
	return nil
}

func (p *Printer) loop(ctx context.Context, results <-chan bridge.Result[codec.Item]) error {
	tick := p.Progress.ticks()
	defer tick.Stop()
	for {
		select {
		case r, ok := <-results:
			if !ok {
				return nil
			}
			if err := p.print(r); err != nil {
				return err
			}
			continue
		default:
		}
		wait, err := p.idle()
		if err != nil {
			return err
		}
		select {
		case r, ok := <-results:
			if !ok {
				return nil
			}
			if err := p.print(r); err != nil {
				return err
			}
		case <-wait:
		case <-tick.C:
			p.Console.Status(p.Progress.line(p.total, p.failed))
		case <-ctx.Done():
			return nil
		}
	}
}

// idle writes what lies here, or returns what to wait for before that.
func (p *Printer) idle() (<-chan time.Time, error) {
	if p.out.Buffered() == 0 {
		return nil, nil
	}
	if since := time.Since(p.flushed); since < settled {
		return time.After(settled - since), nil
	}
	return nil, p.flush()
}

func (p *Printer) flush() error {
	if p.out.Buffered() == 0 {
		return nil
	}
	p.Console.Clear() // it may be the same terminal
	err := p.out.Flush()
	p.flushed = time.Now()
	return outputError(err)
}

func (p *Printer) print(r bridge.Result[codec.Item]) error {
	if r.Err == nil {
		p.total++
		return p.line(r.Value)
	}
	var item *executor.ItemError
	if !errors.As(r.Err, &item) {
		return r.Err
	}
	p.total++
	p.failed++
	text := fmt.Sprintf("line %d: %s", p.total, describe(item))
	if p.Errors == Inline {
		return p.line([]byte(text))
	}
	if p.first == "" {
		p.first = text
	}
	if p.Errors == Stop {
		return errStop
	}
	if !p.Each {
		return nil
	}
	if err := p.flush(); err != nil { // on a terminal it stands where it belongs
		return err
	}
	_, err := fmt.Fprintf(p.Console, "%s: %s\n", p.Name, text)
	return err
}

func (p *Printer) line(text []byte) error {
	_, err := p.out.Write(text)
	if err == nil {
		err = p.out.WriteByte('\n')
	}
	return outputError(err)
}

var newlines = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")

// describe tells in one line why an item failed.
func describe(e *executor.ItemError) string {
	text := e.Error()
	if e.Code != "error" && !strings.HasPrefix(e.Message, e.Code+":") {
		text = e.Code + ": " + text
	}
	return newlines.Replace(text)
}
