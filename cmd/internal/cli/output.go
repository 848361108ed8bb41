package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// An OutputError is the error of a write to stdout.
type OutputError struct {
	Cause error
	Lines int64  // that were written
	Rest  string // how to get the others, "" if they are lost
}

// AsOutput makes the error of a write to stdout an OutputError.
func AsOutput(err error) error {
	if err == nil {
		return nil
	}
	return OutputError{Cause: err}
}

// Error names stdout in place of its file.
func (e OutputError) Error() string {
	cause := e.Cause
	if file := new(os.PathError); errors.As(cause, &file) {
		cause = file.Err
	}
	text := fmt.Sprintf("write stdout: %v", cause)
	if e.Closed() {
		text = "stdout is closed"
	}
	if e.Lines > 0 || e.Rest != "" {
		text += fmt.Sprintf("; lines written: %d", e.Lines)
	}
	if e.Rest != "" {
		text += "; " + e.Rest
	}
	return text
}

// Unwrap returns the cause.
func (e OutputError) Unwrap() error { return e.Cause }

// Closed reports whether stdout has no reader any more, as behind `| head`.
func (e OutputError) Closed() bool { return errors.Is(e.Cause, syscall.EPIPE) }

// quiet reports whether the exit status alone tells of the error: a filter whose reader has enough
// says nothing.
func (e OutputError) quiet() bool { return e.Closed() && e.Rest == "" }

// outputSize is how much text is written at once, if there is so much.
const outputSize = 64 << 10

// An output collects text and writes it in a goroutine of its own: a write that is blocked, by a
// pipe that is full, does not keep the command from cleaning up. Its methods are called by one
// goroutine.
type output struct {
	to      io.Writer
	end     byte   // of a line
	text    []byte // collected
	other   []byte // memory to collect in, while the first one is written
	writing bool
	writes  chan []byte
	wrote   chan error // the end of a write
	whole   int64      // lines that the write wrote which failed
	ended   chan struct{}
}

func newOutput(to io.Writer, end byte) *output {
	o := &output{to: to, end: end, writes: make(chan []byte), wrote: make(chan error, 1), ended: make(chan struct{})}
	go o.run()
	return o
}

func (o *output) run() {
	defer close(o.ended)
	for text := range o.writes {
		n, err := o.to.Write(text)
		if err != nil {
			o.whole = int64(bytes.Count(text[:n], []byte{o.end}))
			cutTorn(o.to, o.end, text[:n])
		}
		o.wrote <- err
	}
}

// close ends the goroutine. One that is blocked in a write is left behind.
func (o *output) close() {
	close(o.writes)
	if !o.writing {
		<-o.ended
	}
}

// start writes the collected text. No other write may be going on.
func (o *output) start() {
	o.writing = true
	o.writes <- o.text
	o.text, o.other = o.other[:0], o.text
	if cap(o.other) > 16*outputSize { // a line was long
		o.other = nil
	}
}

// wait waits for the end of the write that is going on, or of ctx.
func (o *output) wait(ctx context.Context) error {
	select {
	case err := <-o.wrote:
		o.writing = false
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// cutTorn removes the beginning of a line from the end of a file whose last write failed within it.
// Otherwise a command that appends to the file later would continue that line.
func cutTorn(to io.Writer, end byte, written []byte) {
	f, ok := to.(*os.File)
	torn := int64(len(written) - 1 - bytes.LastIndexByte(written, end))
	if !ok {
		return
	}
	info, err := f.Stat()
	if torn == 0 || err != nil || !info.Mode().IsRegular() {
		return
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != info.Size() {
		return // another process writes to the file too
	}
	if f.Truncate(info.Size()-torn) == nil {
		_, _ = f.Seek(info.Size()-torn, io.SeekStart)
	}
}
