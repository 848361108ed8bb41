package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/consumer"
)

// A cycle is the loop of a Feedback. Its feeder adds seeds and items that are fed back to the in-queue of
// the body. Its collector reads the results of the body and adds them to the out-queue.
//
//	seeds ─> feeder ─> body ─> collector ─> out-queue
//	            ↑                  │
//	            └──── frontier ────┘
//
// The frontier has no bound, so the collector never waits for room in the in-queue: no full queue stops
// the cycle. It waits for room in the out-queue, and then the body waits too.
type cycle[In, Out any] struct {
	feeder    feeder[In]
	collector collector[In, Out]
	watch     func(stop context.CancelCauseFunc) (detach func() bool) // stops the cycle if its in-queue is deleted
}

// run runs the cycle until nothing is under way. After an error, and if a method of a value or the user's
// function ends a goroutine, it aborts the out-queue.
func (c *cycle[In, Out]) run(ctx context.Context) {
	f, l := &c.feeder, &c.collector
	running, stop := context.WithCancelCause(ctx)
	detach := c.watch(stop)
	var reading errgroup.Group
	f.seeds.start(running, &reading)
	l.results.start(running, &reading)
	parts := []<-chan error{
		beginPart(stop, func() error { defer f.seeds.r.Left(); return f.run(running) }),
		beginPart(stop, func() error { defer l.end(); return l.run(running) }),
		beginPart(stop, func() error { return l.backgroundFeed.run(running) }),
	}
	var err error
	for _, ended := range parts {
		err = cmp.Or(err, <-ended)
	}
	if err != nil {
		err = context.Cause(running) // of the first part that failed
	} else {
		err = l.feed.Finish(ctx)
	}
	detach()
	stop(errCycleEnded)
	_ = reading.Wait() // its functions return nil
	c.release(ctx, running, err)
}

// beginPart runs a part of a cycle in a goroutine and returns a channel that gets its error. The error stops
// the other parts.
func beginPart(stop context.CancelCauseFunc, part func() error) <-chan error {
	ended := make(chan error, 1)
	go func() {
		err := errGoexitCycle
		defer func() {
			if err != nil {
				stop(err)
			}
			ended <- err
		}()
		err = part()
	}()
	return ended
}

// release ends the gathers and the feeds of the cycle. err is why it has ended early, nil if nothing is under
// way. The queues of the body are then of no use to anyone.
func (c *cycle[In, Out]) release(ctx, stopped context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	var why error
	if err != nil {
		why = &otherError{err}
	}
	c.feeder.seeds.end(err)
	c.collector.results.end(why)
	c.feeder.feed.Release(stopped, why)
	c.collector.feed.Release(ctx, err)
}

var (
	errGoexitCycle = errors.New("feedback: next, or a method that encodes or decodes a value, called runtime.Goexit, as FailNow of a test does: return an error instead")
	errCycleEnded  = fmt.Errorf("the cycle has ended: %w", consumer.ErrLeft)
)

// A frontier is the items that are fed back and that the feeder has not taken.
type frontier[T any] struct {
	changed chan struct{} // has a token if results were delivered

	mu    sync.Mutex
	items []T
}

func newFrontier[T any]() *frontier[T] { return &frontier[T]{changed: make(chan struct{}, 1)} }

func (f *frontier[T]) add(items []T) {
	f.mu.Lock()
	f.items = append(f.items, items...)
	f.mu.Unlock()
}

// take removes and returns all items.
func (f *frontier[T]) take() []T {
	f.mu.Lock()
	defer f.mu.Unlock()
	items := f.items
	f.items = nil
	return items
}

// signal says that results were delivered.
func (f *frontier[T]) signal() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}
