package broker_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// runs checks whether workers run the stage of a flow of x1, and that they got a hint.
func (f flow) runs(t *testing.T, c *broker.Client, want bool, when string) {
	t.Helper()
	if err := c.PauseFlows(t.Context(), "x1"); err != nil {
		t.Fatal(err)
	}
	stages := must[[]broker.Stage](t)(c.StagesOf(t.Context(), []string{f.stage.ID}))
	if len(stages) != 1 || stages[0].Paused == want || stages[0].Function != "up" {
		t.Errorf("%s: the stage is %+v", when, stages)
	}
	mailbox := c.Reader("w1", -1)
	hints, _, err := mailbox.Hints(t.Context(), "0-0")
	if err = errors.Join(err, mailbox.Close()); err != nil || !slices.Contains(hints, broker.Hint{Kind: broker.HintStages, What: f.stage.ID}) {
		t.Errorf("%s: the worker is told %v, %v", when, hints, err)
	}
	if err := errors.Join(c.Raw().Del(t.Context(), c.Key("p:w1")).Err(), c.Mailbox(t.Context(), "w1")); err != nil {
		t.Fatal(err)
	}
}

// extend makes a stage over a queue of a flow. Its out-queue has an owner or is permanent.
func (f flow) extend(t *testing.T, c *broker.Client, in broker.Queue, out, owner string) broker.Queue {
	t.Helper()
	q, _, err := c.Declare(t.Context(), broker.Queue{Name: out, Codec: "raw", Type: "string", Owner: owner, From: []string{"a"}, Seal: true})
	if err == nil {
		err = c.Stage(t.Context(), broker.Stage{ID: out, Kind: broker.KindMap, Function: "up", Ins: []broker.Queue{in}, Outs: []broker.Out{{Queue: q}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// The flow of an executor that is not in the registry is paused, unless its end is read: by a
// gather or a stage of another executor, or by the executor itself after it has joined again.
func TestFlowsOfDeadExecutorArePaused(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		join := func(id string) {
			t.Helper()
			if err := c.Join(t.Context(), broker.RoleExecutor, id, nil); err != nil {
				t.Fatal(err)
			}
		}
		leave := func(id string) {
			t.Helper()
			if err := c.Raw().ZRem(t.Context(), c.Key("executors"), id).Err(); err != nil {
				t.Fatal(err)
			}
		}
		leave("x1")
		f.runs(t, c, false, "its executor is dead")
		join("x1")
		f.runs(t, c, true, "its executor has joined again")
		leave("x1")
		f.runs(t, c, false, "its executor is dead again")
		join("x2")
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g2", "x2", "b"))
		f.runs(t, c, true, "another executor gathers its end")
		if err := c.Release(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		f.runs(t, c, false, "the gather has ended")
		end := f.extend(t, c, f.b, "c", "x2")
		f.runs(t, c, true, "another executor has made a stage over its end")
		leave("x2")
		f.runs(t, c, false, "that executor is dead too")
		f.extend(t, c, end, "d", "")
		f.runs(t, c, true, "it ends in a queue that stays")
	})
}

// A stage that an operator has paused stays so when its executor leaves, joins again, or updates it.
func TestOperatorsPauseOutlivesExecutor(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		check := func(paused, operator bool, when string) {
			t.Helper()
			stages := must[[]broker.Stage](t)(c.StagesOf(t.Context(), []string{"b"}))
			if len(stages) != 1 || stages[0].Paused != paused || (stages[0].Pause != nil) != operator {
				t.Errorf("%s: the stage is %+v", when, stages)
			}
		}
		must[broker.Stage](t)(c.PauseStage(t.Context(), "b", "ann", `too {"many"} errors`))
		check(true, true, "paused")
		if err := c.PauseFlows(t.Context(), "x1"); err != nil {
			t.Fatal(err)
		}
		check(true, true, "its live executor resumes its flows")
		f.stage.Retries = 3
		if err := c.Stage(t.Context(), f.stage); err != nil {
			t.Fatal(err)
		}
		check(true, true, "it was updated")
		stages := must[[]broker.Stage](t)(c.StagesOf(t.Context(), []string{"b"}))
		if p := stages[0].Pause; p.By != "ann" || p.Why != `too {"many"} errors` || p.At == 0 || stages[0].Retries != 3 {
			t.Errorf("the stage is %+v, the pause %+v", stages[0], p)
		}
		if err := c.Raw().ZRem(t.Context(), c.Key("executors"), "x1").Err(); err != nil {
			t.Fatal(err)
		}
		must[broker.Stage](t)(c.ResumeStage(t.Context(), "b"))
		check(true, false, "resumed, and its executor is dead")
		if err := errors.Join(c.Join(t.Context(), broker.RoleExecutor, "x1", nil), c.PauseFlows(t.Context(), "x1")); err != nil {
			t.Fatal(err)
		}
		check(false, false, "its executor has joined again")
		if _, err := c.ResumeStage(t.Context(), "b"); !errors.Is(err, broker.ErrNotPaused) {
			t.Errorf("resumed twice: %v", err)
		}
		if _, err := c.PauseStage(t.Context(), "none", "ann", ""); !errors.Is(err, broker.ErrStageNotFound) {
			t.Errorf("no stage: %v", err)
		}
	})
}
