package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Pause pauses a stage: workers finish the items that they run, put back the rest, and take no more,
// until Resume. The pause outlives this process, the program that made the stage, and an update of
// the stage. A stage behind a fused one is no longer fused with it. name is the id of a stage, or
// the name of a queue, which stands for the stage that reads it. Pause returns the id of the stage.
// A second Pause changes the operator and the reason. ErrStageNotFound: there is no such stage.
func (o *Operator) Pause(ctx context.Context, name string, act Act) (stage string, err error) {
	return o.onStage(ctx, "pause", name, act, func(ctx context.Context, part *broker.Client, id string) error {
		_, err := part.PauseStage(ctx, id, act.Name(), act.Reason)
		return err
	})
}

// Resume ends the pause of Pause. A stage whose flow no process reads, since the processes are dead,
// stays paused until one does. name is that of Pause. Resume returns the id of the stage. Errors:
// ErrStageNotFound, ErrNotPaused.
func (o *Operator) Resume(ctx context.Context, name string, act Act) (stage string, err error) {
	return o.onStage(ctx, "resume", name, act, func(ctx context.Context, part *broker.Client, id string) error {
		_, err := part.ResumeStage(ctx, id)
		return err
	})
}

// onStage does something with a stage, and notes it.
func (o *Operator) onStage(
	ctx context.Context, verb, name string, act Act, do func(ctx context.Context, part *broker.Client, id string) error,
) (stage string, err error) {
	ctx, end, err := o.begin(ctx, verb)
	if err != nil {
		return "", err
	}
	defer end(&err)
	part, stage, err := o.stage(ctx, name)
	if err == nil {
		err = do(ctx, part, stage)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", verb, err)
	}
	return stage, act.note(ctx, part, verb, "stage "+stage, 0)
}

// Stage returns the id of the stage that Pause and Resume mean by a name. ErrStageNotFound: there is
// none.
func (o *Operator) Stage(ctx context.Context, name string) (stage string, err error) {
	ctx, end, err := o.begin(ctx, "stage")
	if err != nil {
		return "", err
	}
	defer end(&err)
	_, stage, err = o.stage(ctx, name)
	return stage, err
}

// stage returns the stage of an id, or the one that reads the queue of that name, and its partition.
func (o *Operator) stage(ctx context.Context, name string) (*broker.Client, string, error) {
	for _, part := range o.partitions() {
		found, err := part.StagesOf(ctx, []string{name})
		if err != nil {
			return nil, "", err
		}
		if len(found) > 0 {
			return part, name, nil
		}
	}
	part, q, err := o.partitions()[0].Find(ctx, name)
	switch {
	case errors.Is(err, executor.ErrQueueNotFound):
		return nil, "", fmt.Errorf("%w: no stage and no queue has the name %q", ErrStageNotFound, name)
	case err != nil:
		return nil, "", err
	}
	s, found, err := part.StageOf(ctx, q.Name)
	if err == nil && !found {
		err = fmt.Errorf("%w: no stage reads queue %q", ErrStageNotFound, name)
	}
	return part, s.ID, err
}
