package executor

import (
	"context"
	"fmt"
	"slices"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/producer"
)

// private returns the queue that gets the results of a new source of the flow of a queue, in the place of
// the last queue of the flow.
func (p *partition) private(ctx context.Context, o producer.Options) (q broker.Queue, err error) {
	last, err := p.c.Look(ctx, o.Private)
	if err != nil {
		return q, fmt.Errorf("private results: %w", err)
	}
	if other := func(path string) bool { root, _ := broker.Root(path); return root != o.Queue }; len(last.From) == 0 || slices.ContainsFunc(last.From, other) {
		return q, fmt.Errorf("private results: queue %q is not behind queue %q alone; make the stages of the flow first", o.Private, o.Queue)
	}
	q = broker.Queue{Name: broker.PrivateName(uniqueName("s"), last.Name), Owner: p.ex.id, Seal: true, From: last.From, Flow: last.Flow, V: last.V}
	q.Codec, q.Type = last.Codec, last.Type
	return p.c.Planned(q), nil
}

// gathered returns the name of the queue that a gather of q reads.
func (q *Queue[T]) gathered(o consumer.ReceiverOptions) (string, error) {
	if o.Private == "" {
		return q.q.Name, nil
	}
	if last, _ := broker.PrivateIn(o.Private); last != q.q.Name {
		return "", fmt.Errorf("the results of the scatter are in the place of queue %q, not of %q", last, q.q.Name)
	}
	return o.Private, nil
}
