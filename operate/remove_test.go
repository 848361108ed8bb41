package operate_test

import (
	"context"
	"testing"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/operate"
	"github.com/dqbridge/dqbridge/workers"
)

// An operator may take the removal of a stage back. A pause of a removed stage goes with it.
func TestRemovalsAndPauses(t *testing.T) {
	t.Parallel()
	same := workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil })
	s := newSite(t, waits, same)
	in, _ := s.flow(t)
	call, act := s.running(t), operate.Act{By: "ann"}
	if _, err := s.o.Cancel(t.Context(), call.Source, 2, act); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		what   string
		do     func() error
		paused bool
	}{
		{"remove", func() error { return s.ex.RemoveStage(t.Context(), "numbers", "waits") }, true},
		{"resume", func() error { _, err := s.o.Resume(t.Context(), "numbers", act); return err }, false},
		{"pause", func() error { _, err := s.o.Pause(t.Context(), "numbers", act); return err }, true},
		{"update", func() error {
			_, err := executor.Map(t.Context(), waits, in, executor.Name("results"), executor.Retries(1))
			return err
		}, true},
		{"remove the paused", func() error { return s.ex.RemoveStage(t.Context(), "numbers", "waits") }, true},
		{"pause the removed", func() error { _, err := s.o.Pause(t.Context(), "numbers", act); return err }, true},
		{"map another", func() error { _, err := executor.Map(t.Context(), same, in); return err }, false},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		stages, err := s.ex.Stages(t.Context())
		if err != nil || len(stages) != 1 || stages[0].Paused != step.paused {
			t.Fatalf("after %s: %+v, %v", step.what, stages, err)
		}
	}
}
