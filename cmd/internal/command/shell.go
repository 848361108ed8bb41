package command

import (
	"context"
	"errors"
	"syscall"
)

// ErrTooLarge is the error of a command that was killed because it wrote more than 64 MiB to stdout
// or to stderr.
var ErrTooLarge = errTooLarge

// A Run is the outcome of a command line.
type Run struct {
	Exit   int // the exit status; 0 if a signal ended it
	Signal int // the signal that ended it, 0 for none
	Stdout []byte
	Stderr []byte
}

// Shell runs a command line with an empty stdin. An exit status other than 0 is no error. The error
// is the cause of ctx if ctx ends first, ErrTooLarge, or the error of the start:
// workers.Unavailable, unless the line is too long. With an error, the Run has the output so far.
func (s *Set) Shell(ctx context.Context, line string) (Run, error) {
	p := newProcess(line)
	out, errors := output{tooLarge: p.kill}, output{tooLarge: p.kill}
	p.stdout, p.stderr = &out, &errors
	if err := s.shell.classify(s.launcher.start(ctx, p)); err != nil {
		return Run{}, err
	}
	err := s.launcher.wait(p)
	run := Run{Stdout: []byte(out.text.String()), Stderr: []byte(errors.text.String())}
	return run.ended(err)
}

// ended adds the exit status or the signal in the error of a process.
func (r Run) ended(err error) (Run, error) {
	exit, ok := errors.AsType[*exitError](err)
	if !ok {
		return r, err
	}
	status, ok := exit.state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		r.Signal = int(status.Signal())
		return r, nil
	}
	r.Exit = exit.state.ExitCode()
	return r, nil
}
