package broker_test

import (
	"errors"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A stage is inserted only in front of the stage that was read, over queues that are there, and once.
func TestInsertIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		in := f.stage.Ins[0]
		read := func() broker.Stage {
			t.Helper()
			next, found, err := c.StageOf(t.Context(), in.Name)
			if err != nil || !found {
				t.Fatal(found, err)
			}
			return next
		}
		declared := func(name string) broker.Queue {
			t.Helper()
			q, _, err := c.Declare(t.Context(), broker.Queue{Name: name, From: []string{in.Name}, Seal: true})
			if err != nil {
				t.Fatal(err)
			}
			return q
		}
		insert := func(out broker.Queue, next broker.Stage) (bool, error) {
			return c.Insert(t.Context(), broker.Stage{ID: out.Name, Kind: broker.KindMap, Function: "new", Ins: []broker.Queue{in}, Outs: []broker.Out{{Queue: out}}}, next)
		}
		before := read()
		if _, err := c.PauseStage(t.Context(), before.ID, "ann", ""); err != nil {
			t.Fatal(err)
		}
		between := declared("between")
		if done, err := insert(between, before); done || err != nil {
			t.Errorf("in front of a stage that has changed: %v, %v", done, err)
		}
		if done, err := insert(broker.Queue{Name: "none"}, read()); done || !errors.Is(err, broker.ErrQueueNotFound) {
			t.Errorf("into no queue: %v, %v", done, err)
		}
		next := read()
		for range 2 { // the second one has lost its reply
			if done, err := insert(between, next); !done || err != nil {
				t.Fatalf("%v, %v", done, err)
			}
		}
		if done, err := insert(declared("another"), next); done || err != nil {
			t.Errorf("in front of a stage that has moved: %v, %v", done, err)
		}
		if done, err := insert(between, read()); done || !errors.Is(err, broker.ErrStageExists) {
			t.Errorf("a second time: %v, %v", done, err)
		}
		if moved, found, err := c.StageOf(t.Context(), "between"); err != nil || !found || moved.ID != next.ID || moved.Pause == nil {
			t.Errorf("behind it is %+v, %v", moved, err)
		}
		if err := c.DeleteAll(t.Context(), []string{"between", "another"}); err != nil {
			t.Error(err)
		}
	})
}
