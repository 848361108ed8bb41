package command

import (
	"context"
	"errors"
	"io"
	"time"
)

// A Talk is a process that stays and is talked with over its stdin and stdout. One goroutine reads and one writes.
type Talk struct {
	process *process
	out     *io.PipeReader
	ended   chan struct{}
	err     error // why it has ended; set when ended is closed
}

// Talk starts the process of a command line. What it writes to stderr goes to stderr too. Close ends it.
func (s *Set) Talk(ctx context.Context, line string, stderr io.Writer) (*Talk, error) {
	p := newProcess(line)
	out, in := io.Pipe()
	p.stdout, p.stderr, p.keepInput = in, io.MultiWriter(&p.last, stderr), true // in is closed at the end of stdout
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

// Read reads what the process has written to stdout.
func (t *Talk) Read(b []byte) (int, error) { return t.out.Read(b) }

// Write writes to its stdin.
func (t *Talk) Write(b []byte) (int, error) { return t.process.stdin.Write(b) }

// Kill kills the process with all that it has started, and does not wait for its end.
func (t *Talk) Kill(cause error) {
	_ = t.out.Close()
	t.process.kill(cause)
}

// End waits for the end of the process, and returns how it has ended. It kills a process that has closed its stdout and does
// not end by itself.
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

// endWait is how long a process may go on behind the end of its stdout.
const endWait = time.Second

var errStdoutClosed = errors.New("it has closed its stdout and goes on")
