package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/dqbridge/dqbridge/workers"
)

var errOutOfStep = errors.New("more lines than items: a coprocess has to write one line for each line that it reads; " +
	"an extra line shifts its answers to other items, also in earlier calls. " +
	"With coproc+id: each answer names its item")

// A coproc is a command whose processes stay between calls. Each concurrent call has one.
type coproc struct {
	launcher *launcher
	name     string
	command  string
	withIDs  bool // each line has an id, a space, and the item or its answer
	log      *slog.Logger

	mu      sync.Mutex
	idle    []*peer
	retired bool // a process ends after its call
}

// errRetired is why a process ends whose function has another definition.
var errRetired = errors.New("the function has another definition")

// retire ends the idle processes, and each other one after its call.
func (c *coproc) retire() {
	c.mu.Lock()
	idle := c.idle
	c.idle, c.retired = nil, true
	c.mu.Unlock()
	for _, p := range idle {
		p.end(errRetired)
	}
}

// call writes each item as a line and returns the answers. The process has to flush each answer,
// which has at most 64 MiB. An item that contains a newline fails. If the process ends, the first
// unanswered item fails, and another process gets the items after it. All items fail if the process
// writes an extra line, and if ctx ends, which kills the process.
func (c *coproc) call(ctx context.Context, items []string) ([]string, error) {
	values, bad := make([]string, len(items)), make(workers.Errors)
	pending := make([]int, 0, len(items))
	for i, item := range items {
		if strings.Contains(item, "\n") {
			bad[i] = errNewline
		} else {
			pending = append(pending, i)
		}
	}
	for len(pending) > 0 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var err error
		if pending, err = c.callOne(ctx, items, pending, values); err == nil {
			continue
		}
		if _, died := errors.AsType[*noAnswerError](err); !died || isUnavailable(err) {
			return nil, err
		}
		bad[pending[0]] = err
		pending = pending[1:]
	}
	if len(bad) > 0 {
		return values, bad
	}
	return values, nil
}

// callOne sends the pending items to one process, and returns the unanswered ones.
func (c *coproc) callOne(ctx context.Context, items []string, pending []int, values []string) ([]int, error) {
	p, err := c.take(ctx)
	if err != nil {
		return pending, err
	}
	lines := make([]string, len(pending))
	for k, i := range pending {
		lines[k] = items[i]
	}
	answers, err := p.ask(ctx, lines)
	var none []int
	for k, i := range pending {
		if k < len(answers) && answers[k] != nil {
			values[i] = *answers[k]
		} else {
			none = append(none, i)
		}
	}
	if err != nil {
		p.end(err)
		return none, err
	}
	if !c.keep(p) {
		p.end(errRetired)
	}
	return none, nil
}

// take returns an idle process or starts one. It drops idle processes that have ended. An idle
// process that has written an extra line is an error.
func (c *coproc) take(ctx context.Context) (*peer, error) {
	for {
		p := c.popIdle()
		if p == nil {
			return c.startPeer(ctx)
		}
		if p.hasStray() {
			p.end(errOutOfStep)
			return nil, errOutOfStep
		}
		select {
		case <-p.exited:
		default:
			return p, nil
		}
	}
}

// keep keeps a process for the next call. It returns false if there is none.
func (c *coproc) keep(p *peer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.retired {
		c.idle = append(c.idle, p)
	}
	return !c.retired
}

func (c *coproc) popIdle() *peer {
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

// A noAnswerError is the error of an item whose coprocess has ended without an answer.
type noAnswerError struct{ error }

// Error returns the text of the cause.
func (e *noAnswerError) Error() string { return fmt.Sprintf("coproc: no answer: %v", e.error) }

func (e *noAnswerError) Unwrap() error { return e.error }
