package integration

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// plants prepare a Redis with the cause of a symptom, by the name that docs/guides/troubleshooting.md or docs/operating.md gives it.
var plants = map[string]func(t *testing.T, address string){
	"no-worker": plantNoWorker, "no-reader": plantNoReader, "stuck": plantStuck, "slow": plantSlow,
	"dropped": plantDropped, "rejected": plantRejected, "hung": plantHung, "empty": func(*testing.T, string) {},
}

// The functions of the plants.
var (
	resize = workers.Define("resize", func(_ context.Context, s string) (string, error) { return s, nil })
	hold   = workers.Define("resize", func(ctx context.Context, s string) (string, error) {
		<-ctx.Done()
		return s, context.Cause(ctx)
	})
	hang   = workers.Define("resize", func(context.Context, string) (string, error) { select {} })
	render = workers.Define("render", func(ctx context.Context, s string) (string, error) {
		select {
		case <-time.After(10 * time.Millisecond):
			return s, nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	})
)

func plantExecutor(t *testing.T, address string) *executor.Executor {
	t.Helper()
	ex, err := executor.New(t.Context(), address, executor.Logger(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Close() })
	return ex
}

// plantWorker runs a worker until the test ends.
func plantWorker(t *testing.T, address string, opts ...workers.Option) {
	t.Helper()
	w, err := workers.New(address, append(opts, workers.DrainTimeout(0), workers.Logger(nil))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	t.Cleanup(func() { stop(); <-ended })
}

// plantQueue stores items in a named queue.
func plantQueue(t *testing.T, ex *executor.Executor, name string, n int, opts ...bridge.ScatterOption) *executor.Queue[string] {
	t.Helper()
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(slices.Repeat([]string{"photo"}, n)), append(opts, bridge.Name(name))...)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func plantStage(t *testing.T, f workers.Func[string, string], q *executor.Queue[string], opts ...executor.MapOption) *executor.Queue[string] {
	t.Helper()
	out, err := executor.Map(t.Context(), f, q, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A stage has a function that no worker has, by a mistake in its name.
func plantNoWorker(t *testing.T, address string) {
	ex := plantExecutor(t, address)
	plantWorker(t, address, workers.Concurrency(2), workers.Functions(render))
	plantStage(t, resize, plantQueue(t, ex, "photos", 5), executor.Name("thumbnails"))
}

// No process gathers a bounded queue.
func plantNoReader(t *testing.T, address string) {
	ex := plantExecutor(t, address)
	plantWorker(t, address, workers.Concurrency(1), workers.Functions(resize))
	plantStage(t, resize, plantQueue(t, ex, "photos", 3000), executor.Name("thumbnails"), executor.MaxSize(100))
}

// A function ignores its context and never returns.
func plantStuck(t *testing.T, address string) {
	ex := plantExecutor(t, address)
	plantWorker(t, address, workers.Concurrency(2), workers.Functions(hang))
	plantStage(t, hang, plantQueue(t, ex, "photos", 1), executor.Name("thumbnails"), executor.Timeout(100*time.Millisecond))
}

// A function waits for what does not come, until its context ends.
func plantHung(t *testing.T, address string) {
	ex := plantExecutor(t, address)
	plantWorker(t, address, workers.Concurrency(1), workers.Functions(hold))
	plantStage(t, hold, plantQueue(t, ex, "photos", 1, bridge.DurableSource("camera")), executor.Name("thumbnails"))
}

// A stage is dear, and one worker with one slot has it.
func plantSlow(t *testing.T, address string) {
	ex := plantExecutor(t, address)
	plantWorker(t, address, workers.Concurrency(1), workers.Functions(render))
	plantWorker(t, address, workers.Concurrency(4), workers.Functions(resize))
	resized := plantStage(t, resize, plantQueue(t, ex, "photos", 10000, bridge.MaxBatch(10)), executor.Name("thumbnails"))
	plantStage(t, render, resized, executor.Name("pages"))
}

// The policy of a scatter drops items.
func plantDropped(t *testing.T, address string) {
	ex := plantExecutor(t, address)
	q := plantQueue(t, ex, "photos", 20, bridge.MaxSize(8), bridge.MaxBatch(1), bridge.Overflow(bridge.OverflowDropNewest))
	<-q.Done()
}

// A reader gives a result back until it is a dead letter.
func plantRejected(t *testing.T, address string) {
	ex := plantExecutor(t, address)
	plantWorker(t, address, workers.Concurrency(1), workers.Functions(resize))
	out := plantStage(t, resize, plantQueue(t, ex, "photos", 1, bridge.DurableSource("camera")), executor.Name("thumbnails"))
	ctx, stop := context.WithCancel(t.Context())
	results, err := bridge.Gather(ctx, out, bridge.ManualAck(), bridge.MaxDeliveries(2))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		(<-results).Nack(0)
	}
	r := <-results
	if !bridge.IsItemError(r.Err) {
		t.Errorf("the result is %v", r)
	}
	err = r.AckWait(t.Context())
	stop()
	for range results {
	}
	testkit.Eventually(t, func() bool {
		for _, failed := range ex.DeadLetters(t.Context()) {
			return failed == nil
		}
		return false
	}, "there is a dead letter")
	if err := errors.Join(err, ex.Close()); err != nil {
		t.Fatal(err)
	}
}
