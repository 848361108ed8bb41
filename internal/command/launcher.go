package command

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
)

// ErrClosed is the error of a call to a command whose Set is closed.
var ErrClosed = errors.New("the commands are closed")

// A launcher starts processes, all of them from one thread: the kernel sends
// the death signal of a child when the thread that forked it ends, and this
// thread ends after its last child. Forks do not run in parallel anyway, the
// syscall package holds a lock meanwhile.
type launcher struct {
	starts  chan start
	guard   *guardian      // of what was started, nil before; only the thread
	running sync.WaitGroup // only the thread adds and waits
	closing chan struct{}
	once    sync.Once // closes closing
	closed  chan struct{}
	slots   slots
}

type start struct {
	process *process
	reply   chan<- error
}

func newLauncher() *launcher {
	l := &launcher{starts: make(chan start), closing: make(chan struct{}), closed: make(chan struct{})}
	go l.loop()
	return l
}

func (l *launcher) loop() {
	defer close(l.closed)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case s := <-l.starts:
			s.reply <- l.launch(s.process)
		case <-l.closing:
			l.running.Wait()
			if l.guard != nil {
				l.guard.close()
			}
			return
		}
	}
}

func (l *launcher) launch(p *process) (err error) {
	if l.guard == nil {
		if l.guard, err = newGuardian(); err != nil {
			return err
		}
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	end := l.guard.begin(p.cmd.Process.Pid)
	l.running.Add(1)
	p.release = func() {
		end()
		l.running.Done()
	}
	return nil
}

func (l *launcher) close() {
	l.once.Do(func() { close(l.closing) })
	<-l.closed
}

// start starts p. Once it has, p.wait has to be called.
func (l *launcher) start(p *process) error {
	reply := make(chan error, 1)
	err := ErrClosed
	select {
	case l.starts <- start{p, reply}:
		err = <-reply
	case <-l.closing:
	}
	if err != nil {
		defer p.kill(nil)
		return cmp.Or(p.cause(), err)
	}
	go func() {
		select {
		case <-l.closing:
			p.kill(ErrClosed)
		case <-p.done:
		}
	}()
	return nil
}

// run runs a command with input as its stdin and returns its stdout.
func (l *launcher) run(ctx context.Context, command, input string) (string, error) {
	p := newProcess(ctx, command)
	out := output{tooLarge: p.kill}
	p.cmd.Stdin = strings.NewReader(input)
	p.cmd.Stdout = &out
	if err := l.start(p); err != nil {
		return "", err
	}
	if err := p.wait(); err != nil {
		return "", err
	}
	return out.text.String(), nil
}
