package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// InsertStage lets Map insert a stage into a flow that is deployed: between a named queue and the stage
// that reads it. That stage reads the new out-queue from then on, in one step, so a gather at the end
// of the flow goes on. The backlog of the queue goes through the new stage. Items that workers run at
// that moment go back, except those whose results are stored, or that a worker hands from stage to
// stage: these do not come through the new stage. Nothing is lost and nothing comes twice.
//
// The function must return what it takes, since the stage behind it takes the same. If it has other
// results, replace the stage, see ReplaceStage. A queue without a stage gets the new one as usual, and
// a further Map with InsertStage returns the same queue. flow.Filter, flow.FlatMap, flow.Each, Map2 and
// Multiplex refuse the option. Errors: ErrTypeMismatch if the function has other results, ErrStageExists if the
// queue that Name names has a consumer.
func InsertStage() MapOption {
	return mapOption(func(s *stageOptions) error {
		s.insert = true
		return nil
	})
}

var errInsert = errors.New("only a function with one output for each item can be inserted into a flow")

// insertable returns an error if a stage over a queue cannot be inserted.
func insertable(call string, q broker.Queue, out codec.Info) error {
	switch {
	case call != "map":
		return fmt.Errorf("%s over queue %q: %w", call, q.Name, errInsert)
	case q.Owner != "":
		return fmt.Errorf("map over queue %q: a stage can only be inserted behind a named queue", q.Name)
	case !fits(info(q), out):
		return fmt.Errorf("map over queue %q: %w: the inserted function has to return what it takes: the queue holds %v, the function returns %v; the stage behind it takes no other type",
			q.Name, ErrTypeMismatch, info(q), out)
	}
	return nil
}

// insert makes a stage in front of the one that reads its in-queue. If there is none, or if that is a
// stage of the same id, it makes the stage as usual.
func (p *partition) insert(ctx context.Context, s broker.Stage) error {
	for {
		next, found, err := p.c.StageOf(ctx, s.Ins[0].Name)
		if err != nil {
			return err
		}
		if !found || next.ID == s.ID {
			return p.c.Stage(ctx, s)
		}
		if done, err := p.c.Insert(ctx, s, next); done || err != nil {
			return err
		}
	}
}
