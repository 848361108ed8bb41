package executor

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// History reads the past work on a stage with the given id. It costs one round trip for each
// partition. The history of a stage that does not exist, or that no worker has reported, is empty.
// ErrClosed: the Executor was closed.
func (ex *Executor) History(ctx context.Context, stage string) (inspect.History, error) {
	if err := ex.check("history"); err != nil {
		return inspect.History{}, err
	}
	return ex.inspector.History(ctx, stage)
}

// History reads what Executor.History does.
func (i inspector) History(ctx context.Context, stage string) (h inspect.History, err error) {
	ctx, end, err := i.tasks.begin(ctx, "history")
	if err != nil {
		return inspect.History{}, err
	}
	defer end(&err)
	h = inspect.History{Stage: stage, Seconds: []inspect.Work{}, Minutes: []inspect.Work{}}
	for _, part := range i.parts {
		reports, err := part.Reports(ctx, []string{stage})
		if err != nil {
			return inspect.History{}, err
		}
		if r := reports[0]; len(r.Minutes) > 0 {
			h.Seconds, h.Minutes = works(r.Seconds), works(r.Minutes)
		}
	}
	return h, nil
}

func works(slots []broker.TimeSlot) []inspect.Work {
	all := make([]inspect.Work, 0, len(slots))
	for _, s := range slots {
		all = append(all, workOf(s))
	}
	return all
}

// MarkWatched tells the workers that an operator looks: for ten seconds their heartbeats show the call of
// each slot, not only calls that take more than a second. It is the one method of an Inspector that
// writes. It returns ErrDenied if the Redis user may not write. ErrClosed: the Executor was closed.
func (ex *Executor) MarkWatched(ctx context.Context) error {
	if err := ex.check("mark watched"); err != nil {
		return err
	}
	return ex.inspector.MarkWatched(ctx)
}

// MarkWatched does what Executor.MarkWatched does.
func (i inspector) MarkWatched(ctx context.Context) (err error) {
	ctx, end, err := i.tasks.begin(ctx, "mark watched")
	if err != nil {
		return err
	}
	defer end(&err)
	for _, part := range i.parts {
		if err := part.MarkWatched(ctx); err != nil {
			return fmt.Errorf("mark watched: %w", err)
		}
	}
	return nil
}
