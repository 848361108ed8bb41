package command

import (
	"context"
	"errors"
	"io"
	"time"
)

// A Talk is a process that stays and exchanges messages over its stdin and stdout. One goroutine
// may read while another one writes.
type Talk struct {
	process *process
	out     *io.PipeReader
	ended   chan struct{}
	err     error // the reason of the end; set before ended is closed
}

// Talk starts the process of a command line. Its stderr is copied to stderr. Close of the Set ends
// it.
func (s *Set) Talk(ctx context.Context, line string, stderr io.Writer) (*Talk, error) {
	p := newProcess(line)
	out, in := io.Pipe()
	p.stdout, p.stderr, p.keepInput = in, io.MultiWriter(&p.last, stderr), true // stream.run closes in at the end of stdout
	if err := s.launcher.start(context.WithoutCancel(ctx), p); err != nil {
		return nil, err
	}
	t := &Talk{process: p, out: out, ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		if t.err = s.launcher.wait(p); t.err == nil {
			t.err = p.exitError()
		}
	}()
	return t, nil
}

// Read reads from the stdout of the process.
func (t *Talk) Read(b []byte) (int, error) { return t.out.Read(b) }

// Write writes to the stdin of the process.
func (t *Talk) Write(b []byte) (int, error) { return t.process.stdin.Write(b) }

// Kill kills the process and its descendants, and does not wait for their end.
func (t *Talk) Kill(cause error) {
	_ = t.out.Close()
	t.process.kill(cause)
}

// End waits for the end of the process and returns its reason. It kills a process that does not end
// within a second.
func (t *Talk) End() error {
	timer := time.NewTimer(endWait)
	defer timer.Stop()
	select {
	case <-t.ended:
	case <-timer.C:
		t.Kill(errStdoutClosed)
		<-t.ended
	}
	return t.err
}

// endWait is the time in which a process has to end after the end of its stdout.
const endWait = time.Second

var errStdoutClosed = errors.New("the process has closed its stdout and still runs")
