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
	Cause  error
	Lines  int64  // written lines
	Remedy string // how to get the other lines; empty: they are lost
}

// AsOutput returns an error of a write to stdout as an OutputError.
func AsOutput(err error) error {
	if err == nil {
		return nil
	}
	return OutputError{Cause: err}
}

// Error returns the cause with stdout as the name of the file.
func (e OutputError) Error() string {
	cause := e.Cause
	if file := new(os.PathError); errors.As(cause, &file) {
		cause = file.Err
	}
	text := fmt.Sprintf("write stdout: %v", cause)
	if e.Closed() {
		text = "stdout is closed"
	}
	if e.Lines > 0 || e.Remedy != "" {
		text += fmt.Sprintf("; lines written: %d", e.Lines)
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap returns the cause.
func (e OutputError) Unwrap() error { return e.Cause }

// Closed reports whether the reader of stdout has closed it, as `| head` does.
func (e OutputError) Closed() bool { return errors.Is(e.Cause, syscall.EPIPE) }

// quiet reports whether the error has an exit status but no message, as in other filters whose
// reader has closed stdout.
func (e OutputError) quiet() bool { return e.Closed() && e.Remedy == "" }

// outputSize is the number of collected bytes at which a write begins.
const outputSize = 64 << 10

// An output collects text and writes it in a goroutine of its own, so that a write to a full pipe
// does not block the cleanup of the command. One goroutine calls its methods.
type output struct {
	to      io.Writer
	end     byte   // the last byte of a line
	text    []byte // collected
	spare   []byte // the second buffer: one is written while the other collects
	writing bool
	writes  chan []byte
	wrote   chan error // results of writes
	whole   int64      // whole lines of the failed write
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
			trimPartialLine(o.to, o.end, text[:n])
		}
		o.wrote <- err
	}
}

// close ends the goroutine. It does not wait for a blocked write.
func (o *output) close() {
	close(o.writes)
	if !o.writing {
		<-o.ended
	}
}

// start begins to write the collected text. No other write may be running.
func (o *output) start() {
	o.writing = true
	o.writes <- o.text
	o.text, o.spare = o.spare[:0], o.text
	if cap(o.spare) > 16*outputSize { // do not keep the memory of a long line
		o.spare = nil
	}
}

// wait waits for the end of the running write, or of ctx.
func (o *output) wait(ctx context.Context) error {
	select {
	case err := <-o.wrote:
		o.writing = false
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// trimPartialLine removes an incomplete line from the end of a file after a failed write. Otherwise
// a command that appends to the file later would continue that line.
func trimPartialLine(to io.Writer, end byte, written []byte) {
	f, ok := to.(*os.File)
	partial := int64(len(written) - 1 - bytes.LastIndexByte(written, end))
	if !ok {
		return
	}
	info, err := f.Stat()
	if partial == 0 || err != nil || !info.Mode().IsRegular() {
		return
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != info.Size() {
		return // another process writes to the file too
	}
	if f.Truncate(info.Size()-partial) == nil {
		_, _ = f.Seek(info.Size()-partial, io.SeekStart)
	}
}
