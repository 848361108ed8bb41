package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// A process is one run of a command.
type process struct {
	line           string
	input          string // what its stdin has, then it ends
	keepInput      bool   // stdin stays open, for writes to stdin
	stdout, stderr io.Writer
	last           tail // of stderr, if stderr is not set

	number  int64 // no other process of its launcher has it
	guard   *guardian
	seat    int // in the table of the guardian
	proc    *os.Process
	state   *os.ProcessState // after its end
	stdin   *os.File
	streams []*stream
	written chan struct{} // closed when input is written; nil: it is
	detach  func() bool   // from the context

	mu    sync.Mutex
	cause error // it is killed for; nil: it is not
	alive bool  // its number is that of its group
}

func newProcess(line string) *process {
	p := &process{line: line}
	p.stderr = &p.last
	return p
}

var errEnded = errors.New("the process is not needed any more")

// kill kills the group of the process, now or as soon as it has started.
func (p *process) kill(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cause = cmp.Or(p.cause, cause, errEnded)
	if p.alive {
		p.killGroup()
	}
}

func (p *process) killed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

// killGroup has no error: a group that is gone needs no signal.
func (p *process) killGroup() { _ = syscall.Kill(-p.proc.Pid, syscall.SIGKILL) }

// begin starts the program. Afterwards wait has to be called.
func (p *process) begin(environment []string) error {
	if err := p.launch(environment); err != nil {
		_ = p.stdin.Close()
		for _, s := range p.streams {
			_ = s.from.Close()
		}
		return err
	}
	p.seat = p.guard.begin(p.proc.Pid)
	p.serve()
	return nil
}

// launch makes the pipes of the process and starts it.
func (p *process) launch(environment []string) error {
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	in, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	theirs, p.stdin = append(theirs, in), stdin
	for _, to := range []io.Writer{p.stdout, p.stderr} {
		from, out, err := os.Pipe()
		if err != nil {
			return err
		}
		theirs = append(theirs, out)
		p.streams = append(p.streams, &stream{from: from, to: to, done: make(chan struct{})})
	}
	attributes := &os.ProcAttr{Files: theirs, Env: environment, Sys: &syscall.SysProcAttr{Setpgid: true}}
	p.mu.Lock()
	defer p.mu.Unlock()
	err = orphans().started(func() (*os.Process, error) {
		p.proc, err = fork(p.line, attributes)
		return p.proc, err
	})
	if err != nil {
		return err
	}
	if p.alive = true; p.cause != nil {
		p.killGroup()
	}
	return nil
}

// fork starts the program of a command line, or a shell for it. A program that cannot be started is left to the shell,
// which says why.
func fork(line string, attr *os.ProcAttr) (*os.Process, error) {
	if words, ok := simpleWords(line); ok {
		if path, err := exec.LookPath(words[0]); err == nil {
			if proc, err := os.StartProcess(path, words, attr); err == nil || scarce(err) {
				return proc, err
			}
		}
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		return nil, err
	}
	return os.StartProcess(sh, []string{"sh", "-c", line}, attr)
}

// scarce reports whether a process could not be started because the machine has no room for it.
func scarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM)
}

// atOnce is how much a pipe takes without a reader, on every system.
const atOnce = 4096

// serve begins to read what the process writes, and writes its input.
func (p *process) serve() {
	for _, s := range p.streams {
		go s.run()
	}
	switch {
	case p.keepInput:
	case len(p.input) <= atOnce:
		p.write()
	default:
		p.written = make(chan struct{})
		go func() {
			defer close(p.written)
			p.write()
		}()
	}
}

// write has no error: a command need not read its input.
func (p *process) write() {
	_, _ = io.WriteString(p.stdin, p.input)
	_ = p.stdin.Close()
}

// wait waits for the process and reads what it has written, as far as it is there once clean has killed what the process
// has left behind. The error of a process that was killed is what it was killed for.
func (p *process) wait(clean func()) error {
	state, err := p.reap()
	orphans().reaped(p.proc)
	p.guard.end(p.seat)
	p.detach()
	clean()
	_ = p.stdin.Close()
	for _, s := range p.streams {
		s.end()
	}
	if p.written != nil {
		<-p.written
	}
	p.state = state
	if err == nil && state.Success() {
		return nil
	}
	if cause := p.killed(); cause != nil || err != nil {
		return cmp.Or(cause, err)
	}
	return p.exitError()
}

// An exitError is the end of a process that failed.
type exitError struct {
	state  *os.ProcessState
	stderr string
}

// exitError adds what the process wrote to stderr to how it ended.
func (p *process) exitError() error { return &exitError{p.state, p.last.String()} }

// Error returns the exit status or the signal, and the end of stderr.
func (e *exitError) Error() string {
	if e.stderr == "" {
		return e.state.String()
	}
	return fmt.Sprintf("%v: %s", e.state, e.stderr)
}

// A stream is what a process writes to one of its pipes.
type stream struct {
	from *os.File
	to   io.Writer
	done chan struct{} // closed when nothing more is read
}

// run reads until the end, or until to fails. It closes to, if that can be closed.
func (s *stream) run() {
	defer close(s.done)
	defer func() { _ = s.from.Close() }()
	if to, ok := s.to.(io.Closer); ok {
		defer func() { _ = to.Close() }()
	}
	buf := make([]byte, 8<<10)
	for {
		n, err := s.from.Read(buf)
		if n > 0 {
			if _, failed := s.to.Write(buf[:n]); failed != nil {
				return
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.rest(buf)
		}
		if err != nil {
			return
		}
	}
}

// maxRest is more than a pipe holds, unless somebody made it larger.
const maxRest = 1 << 20

// rest reads what is there.
func (s *stream) rest(buf []byte) {
	raw, err := s.from.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for total := 0; total < maxRest; {
			n, err := syscall.Read(int(fd), buf)
			if n <= 0 || err != nil {
				return
			}
			if _, err := s.to.Write(buf[:n]); err != nil {
				return
			}
			total += n
		}
	})
}

// end reads what is there and no more, and waits until that is done.
func (s *stream) end() {
	_ = s.from.SetReadDeadline(time.Unix(1, 0))
	<-s.done
}

// attach kills the process when ctx ends.
func (p *process) attach(ctx context.Context) {
	p.detach = context.AfterFunc(ctx, func() { p.kill(context.Cause(ctx)) })
}
