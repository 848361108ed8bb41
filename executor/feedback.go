package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/handle"
	"github.com/dqbridge/dqbridge/internal/producer"
)

// Feedback is internal: package flow calls it.
func Feedback[In, Out any](
	ctx context.Context, _ handle.Key, seeds *Queue[In],
	body func(*Queue[In]) (*Queue[Out], error), next func(context.Context, Out) ([]In, error),
) (_ *Queue[Out], err error) {
	if err := seeds.check("feedback"); err != nil {
		return nil, err
	}
	switch {
	case ctx == nil:
		return nil, fmt.Errorf("feedback: %w", errNoContext)
	case body == nil || next == nil:
		return nil, fmt.Errorf("feedback: %w", errNoBody)
	}
	var undo undoing
	defer func() { undo.do(cmp.Or(err, errBodyEnded)) }()
	c := &cycle[In, Out]{}
	out, bound, err := c.open(ctx, &undo, seeds, body)
	if err != nil {
		return nil, fmt.Errorf("feedback: %w", err)
	}
	c.collector.next, c.collector.stage = next, out.q.Name
	undo = nil
	go c.run(bound)
	return out, nil
}

var (
	errNoBody    = errors.New("body and next must not be nil: body makes the stages of the cycle, and next returns the inputs that a result leads to")
	errBodyEnded = errors.New("body has panicked or called runtime.Goexit")
	errBody      = errors.New("body must return the results of the queue that it gets, and of no other queue, by way of Map, Filter and FlatMap")
)

// An undoing is the steps that a call has to undo if it fails.
type undoing []func(why error)

func (u *undoing) add(f func(why error)) { *u = append(*u, f) }

// do undoes the last step first.
func (u *undoing) do(why error) {
	for _, f := range slices.Backward(*u) {
		f(why)
	}
}

// open makes the queues of the cycle, and becomes the consumer of the seeds and of the results. The cycle
// runs in the context that open returns.
func (c *cycle[In, Out]) open(
	ctx context.Context, undo *undoing, seeds *Queue[In], body func(*Queue[In]) (*Queue[Out], error),
) (out *Queue[Out], bound context.Context, err error) {
	f, l := &c.feeder, &c.collector
	if f.seeds, err = openUpstream(ctx, seeds, consumer.ReceiverOptions{Unordered: true}); err != nil {
		return nil, nil, err
	}
	undo.add(func(why error) { f.seeds.leave(ctx, why) })
	in, feed, fed, err := newFeed(ctx, seeds.part, seeds.typed, producer.Options{})
	if err != nil {
		return nil, nil, err
	}
	feed.ExcludeFromFlush() // that of the out-queue ends later
	undo.add(func(why error) {
		_ = in.part.deleteQueues(fed, in.part.flows.end(in.q.Name, nil)) // it is repeated
		feed.Release(fed, why)
	})
	results, err := body(in)
	if err == nil {
		err = accept(in, results)
	}
	if err != nil {
		return nil, nil, err
	}
	if l.results, err = openUpstream(ctx, results, consumer.ReceiverOptions{Unordered: true}); err != nil {
		return nil, nil, err
	}
	undo.add(func(why error) { l.results.leave(ctx, why) })
	out, outFeed, bound, err := newFeed(ctx, in.part, results.typed, producer.Options{})
	if err != nil {
		return nil, nil, err
	}
	l.backgroundFeed = newBackgroundFeed(outFeed)
	f.feed, f.encode, f.results, f.fedBack = feed, seeds.typed.Append, l.results.r, newFrontier[In]()
	f.lease = in.part.ex.lease
	c.watch = func(stop context.CancelCauseFunc) func() bool {
		return context.AfterFunc(fed, func() { stop(ofOther(context.Cause(fed))) })
	}
	l.typed, l.from, l.fedBack = results.typed, results.q.Name, f.fedBack
	return out, bound, nil
}

// accept returns an error if the queue that body has returned holds other items than the results of its
// in-queue: the cycle would not know when it has ended.
func accept[In, Out any](in *Queue[In], results *Queue[Out]) error {
	if err := results.check("queue of body"); err != nil {
		return err
	}
	if err := in.part.joinable("queue of body", results.part); err != nil {
		return err
	}
	if from := paths(results.q); !slices.Equal(from, []string{in.q.Name}) {
		return fmt.Errorf("queue %q: %w: its items come from %s", results.q.Name, errBody, strings.Join(from, " and "))
	}
	return nil
}
