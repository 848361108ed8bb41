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
	input          string // the content of stdin
	keepInput      bool   // stdin stays open for further writes, in place of input
	stdout, stderr io.Writer
	last           tail // the end of stderr, if stderr is not set

	number  int64 // unique within the launcher
	reaper  *reaper
	row     int // in the table of the reaper
	proc    *os.Process
	state   *os.ProcessState // after its end
	stdin   *os.File
	streams []*stream
	written chan struct{} // closed when input is written; nil: it is written already
	detach  func() bool   // from the context

	mu    sync.Mutex
	cause error // the reason of the kill; nil: not killed
	alive bool  // the process id is in use, as is the group
}

func newProcess(line string) *process {
	p := &process{line: line}
	p.stderr = &p.last
	return p
}

var errEnded = errors.New("the process is not needed any more")

// kill kills the group of the process: at once, or as soon as the process has started.
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

// killGroup has no error: a group that has ended needs no signal.
func (p *process) killGroup() { _ = syscall.Kill(-p.proc.Pid, syscall.SIGKILL) }

// begin starts the program. If it returns nil, the caller has to call wait.
func (p *process) begin(environment []string) error {
	if err := p.launch(environment); err != nil {
		_ = p.stdin.Close()
		for _, s := range p.streams {
			_ = s.from.Close()
		}
		return err
	}
	p.row = p.reaper.add(p.proc.Pid)
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
	err = orphans().startChild(func() (*os.Process, error) {
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

// fork starts the program of a simple command line, or a shell for any other one. If the program
// cannot be started, the shell runs the line and reports the reason.
func fork(line string, attr *os.ProcAttr) (*os.Process, error) {
	if words, ok := simpleWords(line); ok {
		if path, err := exec.LookPath(words[0]); err == nil {
			if proc, err := os.StartProcess(path, words, attr); err == nil || lacksResources(err) {
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

// lacksResources reports whether err is a lack of file descriptors, processes or memory.
func lacksResources(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM)
}

// pipeBuffer is a size that a pipe of every system takes without a reader.
const pipeBuffer = 4096

// serve starts the goroutines that read the output, and writes the input.
func (p *process) serve() {
	for _, s := range p.streams {
		go s.run()
	}
	switch {
	case p.keepInput:
	case len(p.input) <= pipeBuffer:
		p.write()
	default:
		p.written = make(chan struct{})
		go func() {
			defer close(p.written)
			p.write()
		}()
	}
}

// write ignores errors: a command need not read its input.
func (p *process) write() {
	_, _ = io.WriteString(p.stdin, p.input)
	_ = p.stdin.Close()
}

// wait waits for the end of the process, calls clean, which kills its orphans, and then reads the
// output that is there. The error of a killed process is the cause of the kill.
func (p *process) wait(clean func()) error {
	state, err := p.reap()
	orphans().forgetChild(p.proc)
	p.reaper.remove(p.row)
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

// An exitError is the error of a process that failed.
type exitError struct {
	state  *os.ProcessState
	stderr string
}

// exitError returns the exit status with the end of stderr.
func (p *process) exitError() error { return &exitError{p.state, p.last.String()} }

// Error returns the exit status or the signal, and the end of stderr.
func (e *exitError) Error() string {
	if e.stderr == "" {
		return e.state.String()
	}
	return fmt.Sprintf("%v: %s", e.state, e.stderr)
}

// A stream copies one output pipe of a process to a writer.
type stream struct {
	from *os.File
	to   io.Writer
	done chan struct{} // closed after the last read
}

// run copies until the end of the pipe or an error of to. It closes to if it is an io.Closer.
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

// maxRest is more than the buffer of a pipe holds by default.
const maxRest = 1 << 20

// rest copies the bytes in the buffer of the pipe.
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

// end copies the bytes in the buffer of the pipe, and waits for the end of run.
func (s *stream) end() {
	_ = s.from.SetReadDeadline(time.Unix(1, 0))
	<-s.done
}

// attach kills the process when ctx ends.
func (p *process) attach(ctx context.Context) {
	p.detach = context.AfterFunc(ctx, func() { p.kill(context.Cause(ctx)) })
}
