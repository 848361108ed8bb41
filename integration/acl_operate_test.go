package integration

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

// The rights of an operator suffice for each act, and those of a worker to obey.
func TestOperatorRoleSufficesForActs(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	waits := workers.Define("waits", func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})
	stop := employ(t, address("worker"), workers.Functions(waits), workers.Concurrency(1))
	ex := connected(t, address("operator"))
	in := make(chan []int, 1)
	in <- []int{0, 1, 2}
	close(in)
	q, err := bridge.ScatterSlices(t.Context(), ex, in, bridge.Name("numbers"), bridge.MaxBatch(1))
	if err == nil {
		_, err = executor.Map(t.Context(), waits, q, executor.Name("results"))
	}
	if err != nil {
		t.Fatal(err)
	}
	o, err := operate.New(t.Context(), address("operator"))
	if err != nil {
		t.Fatal(err)
	}
	var source, worker string
	testkit.Eventually(t, func() bool {
		now, err := o.Inspector().Snapshot(t.Context())
		if err != nil || len(now.Workers) != 1 || len(now.Workers[0].Running) == 0 {
			return false
		}
		source, worker = now.Workers[0].Running[0].Source, now.Workers[0].ID
		return true
	}, "the worker shows its call")
	_, errPause := o.Pause(t.Context(), "numbers", operate.Act{})
	_, errCancel := o.Cancel(t.Context(), source, 0, operate.Act{})
	errDrain := o.DrainLast(t.Context(), worker, operate.Act{})
	items, errPurge := o.Purge(t.Context(), "numbers", operate.Act{}, nil)
	errUndrain := o.Undrain(t.Context(), worker, operate.Act{})
	_, errResume := o.Resume(t.Context(), "results", operate.Act{})
	errDelete := errors.Join(o.Delete(t.Context(), "numbers", operate.Act{}), o.Delete(t.Context(), "results", operate.Act{}))
	if err := errors.Join(errPause, errCancel, errDrain, errPurge, errUndrain, errResume, errDelete); err != nil || items != 2 {
		t.Errorf("%d items purged, %v", items, err)
	}
	if _, err := o.DropLetters(t.Context(), []string{"1-1"}, operate.Act{}); !errors.Is(err, executor.ErrDeadLetterNotFound) {
		t.Errorf("drop: %v", err)
	}
	if _, err := o.RetryLetters(t.Context(), []string{"1-1"}, "", operate.Act{}); !errors.Is(err, executor.ErrDeadLetterNotFound) {
		t.Errorf("retry: %v", err)
	}
	acts, err := o.Acts(t.Context(), 100)
	if err != nil || len(acts) != 8 {
		t.Errorf("the acts are %+v, %v", acts, err)
	}
	stop()
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	noDenials(t, admin, "config|get")
}
