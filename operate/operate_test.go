package operate_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/operate"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// waits blocks for the value 2 until its context ends.
var waits = workers.Define("waits", func(ctx context.Context, x int) (int, error) {
	if x == 2 {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	return 10 * x, nil
})

// A site is a namespace with an Executor, a worker and an Operator.
type site struct {
	ns     string
	ex     *executor.Executor
	o      *operate.Operator
	worker string
}

// newSite starts a site whose worker has one slot and some functions.
func newSite(t *testing.T, functions ...workers.Function) site {
	t.Helper()
	return newSiteBehind(t, testkit.SharedRedis(t).URL(), time.Second, functions...)
}

// newSiteBehind is newSite for a worker that reaches Redis at an address of its own.
func newSiteBehind(t *testing.T, address string, lease time.Duration, functions ...workers.Function) site {
	t.Helper()
	ns := testkit.Namespace(t)
	url := testkit.SharedRedis(t).URL() + "/?ns=" + ns
	ex, err := executor.New(t.Context(), url, executor.Lease(lease), executor.Logger(nil))
	if err != nil {
		t.Fatal(err)
	}
	w, err := workers.New(address+"/?ns="+ns, workers.Functions(functions...), workers.Concurrency(1), workers.Lease(lease), workers.Logger(nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	o, err := operate.New(t.Context(), url, executor.Logger(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, o.Close(), ex.Close()); err != nil {
			t.Error(err)
		}
	})
	fleet, err := o.Inspector().Workers(t.Context())
	if err != nil || len(fleet) != 1 {
		t.Fatalf("the workers are %v, %v", fleet, err)
	}
	return site{ns, ex, o, fleet[0].ID}
}

// flow scatters the numbers from 0 to 5 through waits.
func (s site) flow(t *testing.T) (in, out *executor.Queue[int]) {
	t.Helper()
	in, err := bridge.ScatterSeq(t.Context(), s.ex, slices.Values([]int{0, 1, 2, 3, 4, 5}), bridge.Name("numbers"), bridge.Seal())
	if err == nil {
		out, err = executor.Map(t.Context(), waits, in, executor.Name("results"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return in, out
}

// running waits until the worker shows a call.
func (s site) running(t *testing.T) (call inspect.Call) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		now, err := s.o.Inspector().Snapshot(t.Context())
		if err != nil || len(now.Workers) != 1 || len(now.Workers[0].Running) == 0 {
			return false
		}
		call = now.Workers[0].Running[0]
		return true
	}, "the worker shows its call")
	return call
}

// A canceled item is a failure in its place, and the others have results.
func TestCanceledItemKeepsItsPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t, waits)
	_, out := s.flow(t)
	call := s.running(t)
	got, err := s.o.Cancel(t.Context(), call.Source, 2, operate.Act{By: "ann", Reason: "it hangs"})
	if err != nil || got.Function != "waits" {
		t.Fatalf("canceled %+v, %v", got, err)
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
	if _, err := s.o.Cancel(t.Context(), call.Source, 2, operate.Act{}); !errors.Is(err, operate.ErrNotRunning) {
		t.Errorf("canceled twice: %v", err)
	}
	timed := int64(0)
	testkit.Eventually(t, func() bool {
		now, err := s.o.Inspector().Snapshot(t.Context())
		if err != nil || len(now.Stages) != 1 || now.Stages[0].Done != 6 {
			return false
		}
		for _, b := range now.Stages[0].Times {
			timed += b.Count
		}
		return true
	}, "the worker has reported all items")
	if timed >= 6 { // P99 would be the time until the operator's act, and hide calls that hang later
		t.Errorf("the times of %d items count, that of the canceled one too", timed)
	}
	acts, err := s.o.Acts(t.Context(), 10)
	if err != nil || len(acts) != 1 || acts[0].By != "ann" || acts[0].Verb != "cancel" || acts[0].Reason != "it hangs" {
		t.Errorf("the acts are %+v, %v", acts, err)
	}
}

// A paused stage takes no items, and its flow says who has paused it. Purged items are failures.
func TestPausedStageTakesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, waits)
	_, out := s.flow(t)
	call := s.running(t)
	stage, err := s.o.Pause(t.Context(), "numbers", operate.Act{By: "ann", Reason: "too slow"})
	if err != nil || stage != "results" {
		t.Fatalf("paused %q, %v", stage, err)
	}
	if _, err := s.o.Cancel(t.Context(), call.Source, 2, operate.Act{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		now, err := s.o.Inspector().Snapshot(t.Context())
		if err != nil {
			return false
		}
		flow := now.Flows()[0]
		return flow.State == "paused" && flow.Running == 0 && flow.Why == "stage results (waits), by ann: too slow"
	}, "the flow is paused")
	if items, err := s.o.Purge(t.Context(), "numbers", operate.Act{}, nil); err != nil || items != 3 {
		t.Errorf("purged %d, %v", items, err)
	}
	if _, err := s.o.Resume(t.Context(), "results", operate.Act{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.o.Resume(t.Context(), "results", operate.Act{}); !errors.Is(err, operate.ErrNotPaused) {
		t.Errorf("resumed twice: %v", err)
	}
	at := 0
	for _, err := range bridge.All(t.Context(), out) {
		if at > 2 != errors.Is(err, executor.ErrDropped) {
			t.Errorf("result %d: %v", at, err)
		}
		at++
	}
	if at != 6 {
		t.Errorf("%d results", at)
	}
}

// A drained worker takes no items until it is told to.
func TestDrainedWorkerTakesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, waits)
	if err := s.o.Drain(t.Context(), s.worker, operate.Act{}); !errors.Is(err, operate.ErrLastHolder) {
		t.Fatalf("drained the last worker: %v", err)
	}
	if err := s.o.Drain(t.Context(), "none", operate.Act{}); !errors.Is(err, operate.ErrWorkerNotFound) {
		t.Errorf("no worker: %v", err)
	}
	if err := s.o.DrainLast(t.Context(), s.worker, operate.Act{}); err != nil {
		t.Fatal(err)
	}
	in, _ := s.flow(t)
	now, err := s.o.Inspector().Snapshot(t.Context())
	if err != nil || now.Stages[0].Workers != 0 || !now.Workers[0].Draining {
		t.Errorf("the stages are %+v, the workers %+v, %v", now.Stages, now.Workers, err)
	}
	testkit.Eventually(t, func() bool {
		n, err := in.Len(t.Context())
		return err == nil && n == 6
	}, "the items wait")
	if err := s.o.Undrain(t.Context(), s.worker, operate.Act{}); err != nil {
		t.Fatal(err)
	}
	call := s.running(t)
	if _, err := s.o.Cancel(t.Context(), call.Source, 2, operate.Act{}); err != nil {
		t.Error(err)
	}
}
