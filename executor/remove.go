package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// ErrStageNotFound says that no stage of the function reads the queue.
var ErrStageNotFound = broker.ErrStageNotFound

// The pauses between two looks at the items that workers run.
const (
	firstDrainPause   = 20 * time.Millisecond
	longestDrainPause = time.Second
)

// RemoveStage takes the stage of a function over a queue out of service, and returns when workers have
// finished the items that they ran. They take no more, and no call is interrupted. The queue keeps its
// items, also those that wait for another attempt, and takes further ones up to its bound; the gather
// behind the stage waits. So nothing is lost and nothing comes twice.
//
// A further Map over the queue takes the place of the stage, without ReplaceStage: with the same
// function, for example in workers of another version, or with another one. Its out-queue is that of
// the removed stage, unless Name names another one. Until then the removed stage is listed as paused,
// and the queue has no room for a gather; operate.Operator.Resume takes the removal back. Delete of
// the out-queue deletes the stage too.
//
// If ctx ends first, the stage is removed all the same, and the error has the cause. A worker that has
// missed the hint about the removal may take an item a few seconds later; its result counts as usual.
// If a worker has died, RemoveStage waits until its items are back in the queue. RemoveStage costs a
// few round trips, and one a second while items run. It may be called again. Errors: ErrStageNotFound,
// ErrQueueNotFound, ErrClosed.
func (ex *Executor) RemoveStage(ctx context.Context, queue, function string) (err error) {
	ctx, end, err := ex.begin(ctx, "remove stage")
	if err != nil {
		return err
	}
	defer end(&err)
	part, _, err := ex.home.c.Find(ctx, queue)
	if err == nil {
		err = part.WithdrawStage(ctx, queue, function, ex.id)
	}
	if err != nil {
		return fmt.Errorf("remove stage: %w", err)
	}
	for pause := firstDrainPause; ; pause = min(2*pause, longestDrainPause) {
		backlog, err := part.Waiting(ctx, queue)
		switch {
		case err == nil && backlog.Running == 0:
			return nil
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("remove stage: %w", err)
		}
		broker.Pause(ctx, pause)
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("remove stage: workers still run %d batches of queue %q", backlog.Running, queue), context.Cause(ctx))
		}
	}
}
