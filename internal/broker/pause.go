package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Errors of an operator's pauses.
var (
	ErrStageNotFound = errors.New("no such stage")
	ErrNotPaused     = errors.New("the stage is not paused by an operator")
)

// An OperatorPause says which operator has paused a stage.
type OperatorPause struct {
	By  string `json:"by"`
	At  int64  `json:"at"` // ms, by the clock of Redis
	Why string `json:"why,omitempty"`
	// Removed is set by WithdrawStage: another stage of the in-queues takes the place of this one.
	Removed bool `json:"removed,omitempty"`
}

// Removed reports whether WithdrawStage has removed the stage.
func (s *Stage) Removed() bool { return s.Pause != nil && s.Pause.Removed }

// PauseStage pauses a stage until ResumeStage: workers finish what they run and take no more. It
// returns the stage as it was. A second call changes By and Why. If the stage is updated or replaced
// meanwhile, the pause holds.
func (c *Client) PauseStage(ctx context.Context, id, by, why string) (Stage, error) {
	now, err := c.now(ctx)
	if err != nil {
		return Stage{}, err
	}
	return c.rewriteStage(ctx, "pause stage "+id, id, func(s *Stage) error {
		removed := s.Removed()
		s.Paused, s.Pause = true, &OperatorPause{By: by, At: now.UnixMilli(), Why: why, Removed: removed}
		return nil
	})
}

// WithdrawStage takes the stage that reads a queue and runs a function out of service. Its record stays,
// paused, and keeps the connection of its queues, until a new stage of the same in-queues takes its
// place. by is noted as the one who paused it. It returns ErrStageNotFound if there is no such stage.
// It is safe to repeat.
func (c *Client) WithdrawStage(ctx context.Context, queue, function, by string) error {
	missing := fmt.Errorf("queue %q: %w that runs function %q over it", queue, ErrStageNotFound, function)
	s, found, err := c.StageOf(ctx, queue)
	if err != nil {
		return err
	}
	if !found || s.Function != function {
		return missing
	}
	now, err := c.now(ctx)
	if err != nil {
		return err
	}
	_, err = c.rewriteStage(ctx, "remove stage "+s.ID, s.ID, func(s *Stage) error {
		if s.Function != function || !slices.Contains(s.Inputs(), queue) {
			return missing
		}
		if s.Removed() {
			return nil
		}
		s.Paused, s.Pause = true, &OperatorPause{By: by, At: now.UnixMilli(), Why: "removed", Removed: true}
		return nil
	})
	return err
}

// ResumeStage ends the pause of PauseStage, and returns the stage as it was. A stage whose executor
// is dead stays paused as PauseFlows has it. It returns ErrNotPaused if no operator has paused it.
func (c *Client) ResumeStage(ctx context.Context, id string) (Stage, error) {
	s, err := c.rewriteStage(ctx, "resume stage "+id, id, func(s *Stage) error {
		if s.Pause == nil {
			return fmt.Errorf("stage %q: %w", id, ErrNotPaused)
		}
		s.Paused, s.Pause = false, nil
		return nil
	})
	if err != nil {
		return Stage{}, err
	}
	for _, in := range s.Ins {
		q, err := c.lookDying(ctx, in.Name)
		if err == nil && q.Owner != "" {
			err = c.pauseQueues(ctx, q.Owner, []string{in.Name})
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// rewriteStage changes the record of a stage, and returns the stage as it was.
func (c *Client) rewriteStage(ctx context.Context, what, id string, change func(*Stage) error) (Stage, error) {
	for {
		found, err := c.StagesOf(ctx, []string{id})
		if err != nil {
			return Stage{}, err
		}
		if len(found) == 0 {
			return Stage{}, fmt.Errorf("stage %q: %w", id, ErrStageNotFound)
		}
		s := found[0]
		if err := change(&s); err != nil {
			return Stage{}, err
		}
		record, err := json.Marshal(s)
		if err != nil {
			return Stage{}, err
		}
		reply, err := c.run(ctx, what, scripts.pauseStage, []string{c.keys.stages(), c.keys.registry(RoleWorker)}, id, s.Record, record, c.keys.prefix)
		if err != nil || reply != int64(0) {
			return found[0], err
		}
	}
}

// EqualButPause reports whether two records differ at most in the pause of an operator.
func (s Stage) EqualButPause(other Stage) bool {
	plain := func(s Stage) Stage {
		if s.Pause != nil {
			s.Paused, s.Pause = false, nil
		}
		s.Record = ""
		return s
	}
	return reflect.DeepEqual(plain(s), plain(other))
}

// now returns the time of Redis.
func (c *Client) now(ctx context.Context) (now time.Time, err error) {
	err = c.try(ctx, "read the time", func(ctx context.Context) error {
		var node redis.UniversalClient
		if node, err = c.node(ctx); err == nil {
			now, err = node.Time(ctx).Result()
		}
		return err
	})
	return now, err
}

// pausePage is the number of queues whose stages one script call pauses.
const pausePage = 20

// PauseFlows pauses the stages of an executor that is not in the registry: workers do not run them.
// It resumes stages whose results another live executor extends or gathers, and all stages if the
// executor has joined again. It changes no stage that an operator has paused. It is safe to repeat.
func (c *Client) PauseFlows(ctx context.Context, executor string) error {
	owned, err := c.Owned(ctx, executor)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(owned, pausePage) {
		if err := c.pauseQueues(ctx, executor, some); err != nil {
			return err
		}
	}
	return nil
}

// pauseQueues is PauseFlows for some queues of an executor.
func (c *Client) pauseQueues(ctx context.Context, executor string, queues []string) error {
	args := []any{executor, c.keys.prefix}
	for _, name := range queues {
		args = append(args, name)
	}
	_, err := c.run(ctx, "pause the flows of executor "+executor, scripts.pause,
		[]string{c.keys.registry(RoleExecutor), c.keys.registry(RoleWorker), c.keys.stages()}, args...)
	return err
}
