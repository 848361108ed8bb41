package command

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ErrClosed is the error of a call to a command whose Set is closed.
var ErrClosed = errors.New("the commands are closed")

// A launcher starts processes and knows those that run.
type launcher struct {
	mark        string   // a variable in the environment of each process; its value is the number of the process
	environment []string // of the processes, without the mark
	slots       slots    // of the placeholder {%}

	mu      sync.Mutex
	closed  bool
	last    int64              // number of a process
	running map[int64]*process // by number
	guard   *guardian          // nil before the first process
	ended   sync.WaitGroup     // of running
}

// secrets are variables that a command does not get: the address of a Redis may contain its password.
var secrets = []string{"DQBRIDGE_REDIS="}

func newLauncher() *launcher {
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc(secrets, func(name string) bool { return strings.HasPrefix(variable, name) })
	})
	return &launcher{mark: "DQBRIDGE_" + rand.Text(), environment: slices.Clip(environment), running: map[int64]*process{}}
}

// close kills every process and waits until it is gone, with all of its descendants that this process may kill.
func (l *launcher) close() {
	l.mu.Lock()
	l.closed = true
	for _, p := range l.running {
		p.kill(ErrClosed)
	}
	guard := l.guard
	l.guard = nil
	l.mu.Unlock()
	l.ended.Wait()
	if guard != nil {
		orphans().leave()
		guard.close()
	}
}

// enter notes that a process is about to run, and has a guardian for it.
func (l *launcher) enter(p *process) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if l.guard == nil {
		guard, err := newGuardian(l.mark)
		if err != nil {
			return err
		}
		l.guard = guard
		orphans().enter()
	}
	if err := l.guard.watch(); err != nil {
		return err
	}
	l.last++
	p.number, p.guard = l.last, l.guard
	l.running[p.number] = p
	l.ended.Add(1)
	return nil
}

// leave notes that a process has ended or did not start.
func (l *launcher) leave(p *process) {
	l.mu.Lock()
	delete(l.running, p.number)
	l.mu.Unlock()
}

// isOver reports whether a process with an environment belongs to a command that has ended.
func (l *launcher) isOver(environment string) bool {
	_, value, ok := strings.Cut("\x00"+environment, "\x00"+l.mark+"=")
	if !ok {
		return false
	}
	value, _, _ = strings.Cut(value, "\x00")
	number, err := strconv.ParseInt(value, 10, 64)
	l.mu.Lock()
	defer l.mu.Unlock()
	return err == nil && l.running[number] == nil
}

// start starts p. Once it has, l.wait has to be called.
func (l *launcher) start(ctx context.Context, p *process) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := l.enter(p); errors.Is(err, ErrClosed) {
		return err
	} else if err != nil {
		return &startError{err}
	}
	p.attach(ctx)
	if err := p.begin(append(l.environment, l.mark+"="+strconv.FormatInt(p.number, 10))); err != nil {
		p.detach()
		l.leave(p)
		l.ended.Done()
		return cmp.Or[error](p.killed(), &startError{err})
	}
	return nil
}

// wait waits for a process, and kills its descendants that have left its group.
func (l *launcher) wait(p *process) error {
	defer l.ended.Done()
	return p.wait(func() {
		l.leave(p)
		orphans().kill(l.isOver)
	})
}

// run runs a command line with input as its stdin and returns its stdout.
func (l *launcher) run(ctx context.Context, line, input string) (string, error) {
	p := newProcess(line)
	out := output{tooLarge: p.kill}
	p.stdout, p.input = &out, input
	if err := l.start(ctx, p); err != nil {
		return "", err
	}
	if err := l.wait(p); err != nil {
		return "", err
	}
	return out.text.String(), nil
}

// slots are the numbers of processes that run at the same time, each the least that is free.
type slots struct {
	mu   sync.Mutex
	busy []bool
}

// take returns a number from 1 that nobody else has until it is released.
func (s *slots) take() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, busy := range s.busy {
		if !busy {
			s.busy[i] = true
			return i + 1
		}
	}
	s.busy = append(s.busy, true)
	return len(s.busy)
}

func (s *slots) release(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[number-1] = false
}
