package operate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/operate"
	"github.com/dqbridge/dqbridge/workers"
)

// An abandoned call costs its slot nothing: the only slot of the worker runs the other items, the
// results are in order, and what the function returns later is dropped.
func TestAbandonedCallFreesItsSlot(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	deaf := workers.Define("waits", func(_ context.Context, x int) (int, error) {
		if x == 2 {
			<-release
		}
		return 10 * x, nil
	})
	s := newSite(t, deaf)
	_, out := s.flow(t)
	call := s.running(t)
	if _, err := s.o.Abandon(t.Context(), call.Source, 2, operate.Act{By: "ann", Reason: "it is deaf"}); err != nil {
		t.Fatal(err)
	}
	at := 0
	for v, err := range bridge.All(t.Context(), out) {
		if at == 2 && !errors.Is(err, executor.ErrCanceled) || at != 2 && (err != nil || v != 10*at) {
			t.Errorf("result %d is %d, %v", at, v, err)
		}
		at++
	}
	if at != 6 {
		t.Errorf("%d results", at)
	}
	stuck := func(n int) func() bool {
		return func() bool {
			fleet, err := s.o.Inspector().Workers(t.Context())
			return err == nil && len(fleet) == 1 && fleet[0].Stuck == n
		}
	}
	testkit.Eventually(t, stuck(1), "the worker counts the goroutine that is left behind")
	close(release)
	testkit.Eventually(t, stuck(0), "the worker counts its end")
	acts, err := s.o.Acts(t.Context(), 10)
	if err != nil || len(acts) != 1 || acts[0].Verb != "abandon" || acts[0].Reason != "it is deaf" {
		t.Errorf("the acts are %+v, %v", acts, err)
	}
}
