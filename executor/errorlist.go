package executor

import (
	"cmp"
	"context"
	"slices"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Errors lists the failures of all stages in groups, the last seen first: at most 64 groups of a
// stage. Workers report them about once a heartbeat, and they go with their stage. It costs
// two round trips to each partition, and one more for each further hundred stages. ErrClosed: the Executor was closed.
func (ex *Executor) Errors(ctx context.Context) ([]inspect.ErrorGroup, error) {
	if err := ex.check("errors"); err != nil {
		return nil, err
	}
	return ex.inspector.Errors(ctx)
}

// Errors lists what Executor.Errors does.
func (i inspector) Errors(ctx context.Context) (found []inspect.ErrorGroup, err error) {
	ctx, end, err := i.tasks.begin(ctx, "errors")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	found = []inspect.ErrorGroup{}
	for _, part := range i.parts {
		stages, err := part.Stages(ctx)
		if err != nil {
			return nil, err
		}
		some, err := stageErrors(ctx, part, stages)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b inspect.ErrorGroup) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Message, b.Message))
	})
	return found, nil
}

func stageErrors(ctx context.Context, part *broker.Client, stages []broker.Stage) (found []inspect.ErrorGroup, err error) {
	ids := make([]string, 0, len(stages))
	for _, s := range stages {
		ids = append(ids, s.ID)
	}
	groups, err := part.StageErrors(ctx, ids)
	if err != nil {
		return nil, err
	}
	for n, s := range stages {
		for _, g := range groups[n] {
			found = append(found, inspect.ErrorGroup{
				Stage: s.ID, Function: s.Function, Code: g.Code, Count: g.Count, First: g.First, Last: g.Last, Message: g.Message,
				Source: g.Source, Offset: g.Offset, Attempt: g.Attempt, Worker: g.Worker, Stack: g.Stack, Partition: part.Index(),
			})
		}
	}
	return found, nil
}
