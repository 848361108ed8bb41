package metrics_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/metrics"
	"github.com/dqbridge/dqbridge/workers"
)

// A worker exports its own work, and no metric of it is left when it has ended.
func TestWorkerExportsItsWork(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		own, err := metrics.NewWorker()
		if err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(own)
		if err := own.Ready(); err == nil || !strings.Contains(err.Error(), "no worker") {
			t.Errorf("before a worker: %v", err)
		}
		half := workers.Define("half", func(_ context.Context, x int) (int, error) { return x / 2, nil })
		w := f.StartWorker(workers.Functions(half), workers.Concurrency(3), own.Option())
		ex, _ := f.StartExecutor()
		run(t, ex, half)
		<-time.After(3 * time.Second) // after the report
		synctest.Wait()
		if err := own.Ready(); err != nil {
			t.Error(err)
		}
		problems, err := testutil.GatherAndLint(registry)
		if err != nil || len(problems) > 0 {
			t.Error(problems, err)
		}
		want := `
# HELP dqbridge_items_total Items with a result: a value (ok) or a failure (failed).
# TYPE dqbridge_items_total counter
dqbridge_items_total{function="half",result="failed",stage="out"} 0
dqbridge_items_total{function="half",result="ok",stage="out"} 100
# HELP dqbridge_slots Calls that can run at once.
# TYPE dqbridge_slots gauge
dqbridge_slots 3
# HELP dqbridge_worker_ready 1 if the worker takes items: see the readiness of dqworker.
# TYPE dqbridge_worker_ready gauge
dqbridge_worker_ready 1
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "dqbridge_items_total", "dqbridge_slots", "dqbridge_worker_ready"); err != nil {
			t.Error(err)
		}
		if err := errors.Join(ex.Delete(t.Context(), "in"), ex.Delete(t.Context(), "out")); err != nil {
			t.Error(err)
		}
		if err := w.Terminate(); err != nil {
			t.Error(err)
		}
		if err := own.Ready(); err == nil || !strings.Contains(err.Error(), "has ended") {
			t.Errorf("after the end: %v", err)
		}
		if n, err := testutil.GatherAndCount(registry, "dqbridge_items_total"); n != 0 || err != nil {
			t.Errorf("%d series of items are left, %v", n, err)
		}
	})
}

// run sends 100 items through a stage with the name out.
func run(t *testing.T, ex *executor.Executor, f workers.Func[int, int]) {
	t.Helper()
	in := make([]int, 100)
	q, err := bridge.ScatterSlices(t.Context(), ex, sent(in), bridge.Name("in"), bridge.Seal())
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), f, q, executor.Name("out"))
	if err != nil {
		t.Fatal(err)
	}
	results, err := bridge.GatherSlices(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	for range results {
	}
}

func sent(in []int) <-chan []int {
	c := make(chan []int, 1)
	c <- in
	close(c)
	return c
}

// Nil and zero values are errors or do nothing.
func TestMisuse(t *testing.T) {
	t.Parallel()
	_, err1 := metrics.NewWorker(nil)
	_, err2 := metrics.NewWorker(metrics.MaxSeries(0))
	_, err3 := metrics.NewFleet(t.Context(), nil, nil)
	_, err4 := metrics.FleetOf(nil)
	_, err5 := workers.New("redis://127.0.0.1", (*metrics.Worker)(nil).Option())
	_, err6 := workers.New("redis://127.0.0.1", new(metrics.Worker).Option())
	_, err7 := metrics.NewFleet(nil, nil, nil) //nolint:staticcheck // the test is about a nil context
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, new(metrics.Worker).Ready(), (*metrics.Worker)(nil).Ready()} {
		if err == nil || !strings.Contains(err.Error(), "metrics: ") {
			t.Errorf("misuse %d: %v", i+1, err)
		}
	}
	for _, c := range []prometheus.Collector{new(metrics.Worker), (*metrics.Worker)(nil), new(metrics.Fleet), (*metrics.Fleet)(nil)} {
		c.Describe(nil)
		c.Collect(nil)
	}
	new(metrics.Fleet).Close()
	(*metrics.Fleet)(nil).Close()
}
