package executor

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// Multiplex makes n queues that each get all items of q, in order. It is the one consumer of q. The
// slowest queue holds the others back once its bound (MaxSize, MaxBytes) is reached. Copies need no
// call of a function, but a worker makes them. Name is refused, since one name does not fit n
// queues. Errors: ErrConsumerExists or ErrStageExists if q has a consumer, ErrQueueNotFound.
func Multiplex[T any](ctx context.Context, n int, q *Queue[T], opts ...MapOption) (_ []*Queue[T], err error) {
	s, err := mapOptions("multiplex", opts)
	if err != nil {
		return nil, err
	}
	caller := ctx
	ctx, end, err := q.begin(ctx, "multiplex")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	if n < 1 {
		return nil, fmt.Errorf("multiplex queue %q: %d queues: there must be at least 1", q.q.Name, n)
	}
	if s.name != "" {
		return nil, fmt.Errorf("multiplex queue %q: one name does not fit %d queues: leave executor.Name out", q.q.Name, n)
	}
	if s.limits != (broker.Limits{}) {
		return nil, fmt.Errorf("multiplex queue %q: %w", q.q.Name, errNoCalls)
	}
	if s.insert {
		return nil, fmt.Errorf("multiplex queue %q: %w", q.q.Name, errInsert)
	}
	stage := broker.Stage{Kind: broker.KindCopy, Ins: []broker.Queue{q.q}}
	queues := make([]*Queue[T], n)
	var m making
	for i := range queues {
		branch := fmt.Sprintf("~%d", i)
		var from []string
		for _, path := range paths(q.q) {
			from = append(from, path+branch)
		}
		out, err := q.part.derive(ctx, &m, s, fmt.Sprintf("branch%d", i), info(q.q), from, q.q)
		if err != nil {
			return nil, q.part.unmake(ctx, m.made, err)
		}
		stage.Outs = append(stage.Outs, broker.Out{Queue: out, Branch: branch})
		queues[i] = &Queue[T]{part: q.part, q: out, typed: q.typed}
	}
	stage.ID = stage.Outs[0].Name
	if err := q.part.stage(ctx, caller, stage, &m, q.part.c.Stage); err != nil {
		return nil, err
	}
	return queues, nil
}

// Merge makes one queue that gets the items of q and of all others. The order within each source is
// kept; between sources there is no order. The stream ends when all inputs have ended. Merge is the
// one consumer of each input. Errors: ErrTypeMismatch if the queues hold different types,
// ErrPartitions if they are in different partitions, ErrConsumerExists or ErrStageExists if one of
// them has a consumer, ErrQueueNotFound.
func Merge[T any](ctx context.Context, q *Queue[T], others ...*Queue[T]) (_ *Queue[T], err error) {
	caller := ctx
	ctx, end, err := q.begin(ctx, "merge")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	ins := []broker.Queue{q.q}
	from := paths(q.q)
	for _, other := range others {
		if err := other.check("merge"); err != nil {
			return nil, err
		}
		if err := q.part.joinable("merge", other.part); err != nil {
			return nil, err
		}
		if !fits(info(q.q), info(other.q)) {
			return nil, fmt.Errorf("merge: %w: %q holds %v, %q holds %v", ErrTypeMismatch, q.q.Name, info(q.q), other.q.Name, info(other.q))
		}
		ins = append(ins, other.q)
		from = append(from[:len(from):len(from)], paths(other.q)...)
	}
	var m making
	out, err := q.part.derive(ctx, &m, stageOptions{}, "merge", info(q.q), from, ins...)
	if err != nil {
		return nil, err
	}
	for i, in := range ins {
		stage := broker.Stage{ID: fmt.Sprintf("%s.%d", out.Name, i), Kind: broker.KindCopy, Ins: ins[i : i+1], Outs: []broker.Out{{Queue: out}}}
		if err := q.part.stage(ctx, caller, stage, &m, q.part.c.Stage); err != nil {
			return nil, fmt.Errorf("merge queue %q: %w", in.Name, err)
		}
	}
	return &Queue[T]{part: q.part, q: out, typed: q.typed}, nil
}
