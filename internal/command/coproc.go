package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

var errOutOfStep = errors.New("more lines than items: a coprocess writes one line for each line that it reads")

// A coproc is a command whose processes stay, one for each call at a time.
type coproc struct {
	launcher *launcher
	command  string
	mu       sync.Mutex
	idle     []*peer
}

// call writes the item as a line and returns the line that comes back, which
// may have 64 MiB. The process has to flush it. An item that contains a
// newline is an error. A process that ends before it answers, or writes
// more than one line, fails the item; so does the end of ctx, which kills the
// process. The next item gets another one.
func (c *coproc) call(ctx context.Context, item string) (string, error) {
	if strings.Contains(item, "\n") {
		return "", errNewline
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	p, err := c.take(ctx)
	if err != nil {
		return "", err
	}
	line, err := p.ask(ctx, item)
	if err != nil {
		p.end(err)
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, p)
	return line, nil
}

// take returns an idle process or starts one. One that ended since its last
// answer is not missed, unless it was for a line that nobody asked for.
func (c *coproc) take(ctx context.Context) (*peer, error) {
	for {
		p := c.pop()
		if p == nil {
			return c.launcher.peer(ctx, c.command)
		}
		select {
		case <-p.lines:
			if errors.Is(p.err, errOutOfStep) {
				return nil, p.err
			}
		default:
			return p, nil
		}
	}
}

func (c *coproc) pop() *peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.idle) - 1
	if last < 0 {
		return nil
	}
	p := c.idle[last]
	c.idle = c.idle[:last]
	return p
}

// A peer is a process of a coproc.
type peer struct {
	*process
	partial output
	asked   atomic.Bool // a line may come
	lines   chan string // has room for it, is closed after the end
	err     error       // why there is no line; set when lines is closed
}

// peer starts a process. It outlives ctx.
func (l *launcher) peer(ctx context.Context, command string) (*peer, error) {
	p := &peer{process: newProcess(command), lines: make(chan string, 1)}
	p.partial.tooLarge = p.kill
	p.stdout, p.keepInput = p, true
	if err := l.start(context.WithoutCancel(ctx), p.process); err != nil {
		return nil, err
	}
	go p.watch(l)
	return p, nil
}

func (p *peer) watch(l *launcher) {
	defer close(p.lines)
	err := l.wait(p.process)
	if err == nil {
		err = p.exitError()
	}
	p.err = fmt.Errorf("coproc: no answer: %w", err)
}

func (p *peer) ask(ctx context.Context, item string) (string, error) {
	stop := context.AfterFunc(ctx, func() { p.kill(context.Cause(ctx)) })
	p.asked.Store(true)
	_, broken := io.WriteString(p.stdin, item+"\n")
	line, ok := <-p.lines
	switch {
	case !stop():
		return "", context.Cause(ctx)
	case !ok:
		return "", p.err
	case broken != nil:
		p.end(broken)
	}
	return line, nil
}

// end kills the process and waits until it is gone.
func (p *peer) end(cause error) {
	p.kill(cause)
	for range p.lines {
	}
}

// Write takes what the process writes to stdout. It fails, and the process is
// killed, where that is not one line for one item.
func (p *peer) Write(b []byte) (int, error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return p.partial.Write(b)
	}
	if end < len(b)-1 || !p.asked.CompareAndSwap(true, false) {
		p.kill(errOutOfStep)
		return 0, errOutOfStep
	}
	if _, err := p.partial.Write(b[:end]); err != nil {
		return 0, err
	}
	line := p.partial.text.String()
	p.partial.text.Reset()
	p.lines <- line
	return len(b), nil
}
