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

var errOutOfStep = errors.New("more lines than items: a coprocess writes one line for each line that it reads; " +
	"one line too many makes its answers those of other items, also some that were given before. " +
	"With coproc+id: each answer names its item")

// A coproc is a command whose processes stay, one for each call at a time.
type coproc struct {
	launcher *launcher
	name     string
	command  string
	framed   bool // each line has an id, a space, and the item or its answer
	log      *slog.Logger

	mu   sync.Mutex
	idle []*peer
}

// call writes each item as a line and returns the lines that come back, which the process has to flush and which may
// have 64 MiB each. An item that contains a newline is an error. A process that ends fails the first item that it has
// not answered; another process gets those behind. One that writes a line too many fails all items, and so does
// the end of ctx, which kills the process.
func (c *coproc) call(ctx context.Context, items []string) ([]string, error) {
	values, bad := make([]string, len(items)), make(workers.Errors)
	left := make([]int, 0, len(items))
	for i, item := range items {
		if strings.Contains(item, "\n") {
			bad[i] = errNewline
		} else {
			left = append(left, i)
		}
	}
	for len(left) > 0 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var err error
		if left, err = c.part(ctx, items, left, values); err == nil {
			continue
		}
		if _, died := errors.AsType[*deathError](err); !died || notTheItem(err) {
			return nil, err
		}
		bad[left[0]] = err
		left = left[1:]
	}
	if len(bad) > 0 {
		return values, bad
	}
	return values, nil
}

// part asks one process for the items at left, and returns those that it has not answered.
func (c *coproc) part(ctx context.Context, items []string, left []int, values []string) ([]int, error) {
	p, err := c.take(ctx)
	if err != nil {
		return left, err
	}
	lines := make([]string, len(left))
	for k, i := range left {
		lines[k] = items[i]
	}
	answers, err := p.ask(ctx, lines)
	var none []int
	for k, i := range left {
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, p)
	return none, nil
}

// take returns an idle process or starts one. One that ended since its last answer is not missed, but a line that nothing
// asked for is an error.
func (c *coproc) take(ctx context.Context) (*peer, error) {
	for {
		p := c.pop()
		if p == nil {
			return c.peer(ctx)
		}
		if p.strayed() {
			p.end(errOutOfStep)
			return nil, errOutOfStep
		}
		select {
		case <-p.gone:
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

// A deathError is why a process of a coproc gives no answer.
type deathError struct{ error }

// Error returns why.
func (e *deathError) Error() string { return fmt.Sprintf("coproc: no answer: %v", e.error) }

func (e *deathError) Unwrap() error { return e.error }
