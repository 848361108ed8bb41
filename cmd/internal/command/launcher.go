package command

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ErrClosed is the error of a call to a command whose Set is closed.
var ErrClosed = errors.New("the commands are closed")

// A launcher starts processes and has a table of the running ones.
type launcher struct {
	marker      string   // name of a variable in the environment of each process; its value is the process number
	environment []string // of the processes, without the marker
	slots       slots    // for the placeholder {%}

	mu      sync.Mutex
	closed  bool
	last    int64              // the latest process number
	running map[int64]*process // by number
	reaper  *reaper            // nil before the first process
	ended   sync.WaitGroup     // has a count for each running process
}

// secrets are variables that commands do not inherit. The address of a Redis may contain its
// password.
var secrets = []string{"DQBRIDGE_REDIS="}

func newLauncher() *launcher {
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc(secrets, func(name string) bool { return strings.HasPrefix(variable, name) })
	})
	return &launcher{marker: "DQBRIDGE_" + rand.Text(), environment: slices.Clip(environment), running: map[int64]*process{}}
}

// close kills every process, with all descendants that this process may kill, and waits for their
// end.
func (l *launcher) close() {
	l.mu.Lock()
	l.closed = true
	for _, p := range l.running {
		p.kill(ErrClosed)
	}
	reaper := l.reaper
	l.reaper = nil
	l.mu.Unlock()
	l.ended.Wait()
	if reaper != nil {
		orphans().release()
		reaper.close()
	}
}

// register gives p its number and its reaper before p starts.
func (l *launcher) register(p *process) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if l.reaper == nil {
		reaper, err := newReaper(l.marker)
		if err != nil {
			return err
		}
		l.reaper = reaper
		orphans().acquire()
	}
	if err := l.reaper.watch(); err != nil {
		return err
	}
	l.last++
	p.number, p.reaper = l.last, l.reaper
	l.running[p.number] = p
	l.ended.Add(1)
	return nil
}

// unregister removes a process that has ended or did not start.
func (l *launcher) unregister(p *process) {
	l.mu.Lock()
	delete(l.running, p.number)
	l.mu.Unlock()
}

// hasEnded reports whether the process with this environment belongs to a command that has ended.
func (l *launcher) hasEnded(environment string) bool {
	_, value, ok := strings.Cut("\x00"+environment, "\x00"+l.marker+"=")
	if !ok {
		return false
	}
	value, _, _ = strings.Cut(value, "\x00")
	number, err := strconv.ParseInt(value, 10, 64)
	l.mu.Lock()
	defer l.mu.Unlock()
	return err == nil && l.running[number] == nil
}

// start starts p. If it returns nil, the caller has to call l.wait.
func (l *launcher) start(ctx context.Context, p *process) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := l.register(p); errors.Is(err, ErrClosed) {
		return err
	} else if err != nil {
		return &startError{err}
	}
	p.attach(ctx)
	if err := p.begin(append(l.environment, l.marker+"="+strconv.FormatInt(p.number, 10))); err != nil {
		p.detach()
		l.unregister(p)
		l.ended.Done()
		return cmp.Or[error](p.killed(), &startError{err})
	}
	return nil
}

// wait waits for the end of p, and kills the descendants that have left its group.
func (l *launcher) wait(p *process) error {
	defer l.ended.Done()
	return p.wait(func() {
		l.unregister(p)
		orphans().kill(l.hasEnded)
	})
}

// run runs a command line with input as its stdin and returns its stdout.
func (l *launcher) run(ctx context.Context, line, input string) (string, error) {
	p := newProcess(line)
	out := output{tooLarge: p.kill}
	if err := l.runInto(ctx, p, input, &out); err != nil {
		return "", err
	}
	return out.text.String(), nil
}

// runInto runs a process with input as its stdin, and writes its stdout to a writer.
func (l *launcher) runInto(ctx context.Context, p *process, input string, stdout io.Writer) error {
	p.stdout, p.input = stdout, input
	if err := l.start(ctx, p); err != nil {
		return err
	}
	return l.wait(p)
}

// slots hands out numbers of concurrent processes from 1. A process gets the lowest free number.
type slots struct {
	mu   sync.Mutex
	busy []bool
}

// take returns the lowest free number. It is taken until release.
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
