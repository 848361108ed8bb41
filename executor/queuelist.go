package executor

import (
	"cmp"
	"context"
	"slices"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Queues lists all queues of the namespace, sorted by name. It costs three round trips, and
// one more for each further thousand queues of a partition. ErrClosed: the Executor was closed.
func (ex *Executor) Queues(ctx context.Context) ([]inspect.Queue, error) {
	if err := ex.check("queues"); err != nil {
		return nil, err
	}
	return ex.inspector.Queues(ctx)
}

// Queues lists what Executor.Queues does.
func (i inspector) Queues(ctx context.Context) ([]inspect.Queue, error) {
	s, err := i.snapshot(ctx, "queues", reading{queues: true})
	return s.Queues, err
}

// queueInfo describes a queue of a partition. The state of a queue behind others is that of the
// queues that its items come from.
func queueInfo(part *broker.Client, q broker.Contents, processes map[string]inspect.Process) inspect.Queue {
	info := inspect.Queue{
		Name: q.Queue.Name, Type: q.Queue.Type, Codec: q.Queue.Codec, Waiting: q.Waiting, Requeued: q.Requeued, Suspects: q.Suspects, Delayed: q.Delayed,
		Running: q.Running, Batches: q.Entries, AtLeast: q.AtLeast, Bytes: q.Unread, Added: q.Queue.Items, Fused: q.Queue.Fused,
		Inputs: q.Queue.Items + q.Queue.Fused + q.Queue.LeftOut,
		Max:    q.Queue.Max, MaxBytes: q.Queue.MaxBytes, Full: reached(q.Waiting, q.Queue.Max) || reached(q.Unread, q.Queue.MaxBytes), Dropped: q.Queue.Dropped,
		Oldest: q.Oldest, OldestScattered: q.Scattered, Sources: q.Sources, Sealed: q.Queue.Seal, Expires: q.Queue.Expires, Consumer: q.Queue.Consumer, From: append([]string{}, q.Queue.From...),
		Flow: cmp.Or(q.Queue.Flow, q.Queue.Name), Owner: q.Queue.Owner, Partition: part.Index(), Broken: q.Broken, State: stateOf(q),
	}
	if q.Gatherer != "" {
		gather := processOf(processes, q.Gatherer)
		info.Gather = &gather
	}
	return info
}

func reached(n, bound int64) bool { return bound > 0 && n >= bound }

// stateOf returns the state of a queue that has no queue before it.
func stateOf(q broker.Contents) string {
	switch {
	case q.Broken != "":
		return inspect.Broken
	case !q.Queue.Seal:
		return inspect.Open
	case q.Open > 0:
		return inspect.Sealed
	}
	return inspect.Ended
}

// inherit gives the queues behind others the least advanced state of the queues that their items
// come from. A root queue that is gone has ended.
func inherit(queues []inspect.Queue) {
	order := []string{inspect.Ended, inspect.Sealed, inspect.Open, inspect.Broken}
	states := make(map[string]string, len(queues))
	for _, q := range queues {
		states[q.Name] = q.State
	}
	for i := range queues {
		if q := &queues[i]; len(q.From) > 0 && q.State != inspect.Broken {
			least := 0
			for _, path := range q.From {
				root, _ := broker.Root(path)
				least = max(least, slices.Index(order, states[root]))
			}
			q.State = order[min(least, 2)] // the sources of a broken queue may be open
		}
	}
}
