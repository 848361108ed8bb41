package workers_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// startLogged runs a worker with one function until the test ends.
func startLogged(t *testing.T, url string, log *diary, f workers.Function) {
	t.Helper()
	w := must(workers.New(url, workers.Concurrency(1), workers.Functions(f), workers.Logger(slog.New(slog.NewTextHandler(log, nil)))))(t)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Redis refuses results for a while, with an error that is not transient. The worker goes on, and
// stores them later. The function does not run again.
func TestRefusedResultsAreStoredLater(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	var log diary
	calls, release := make(chan int, 10), make(chan struct{})
	same := workers.Define("same", func(_ context.Context, x int) (int, error) {
		calls <- x
		<-release
		return x, nil
	})
	startLogged(t, "redis://"+server.Addr(), &log, same)
	ex := must(executor.New(t.Context(), "redis://"+server.Addr(), executor.Logger(nil)))(t)
	future := must(executor.Submit(t.Context(), ex, same, 7))(t)
	<-calls
	server.SetError("ERR refused by the test")
	close(release)
	testkit.Eventually(t, func() bool { return log.says("results could not be written") > 0 }, "Redis refuses the result")
	server.SetError("")
	if v, err := future.Result(t.Context()); v != 7 || err != nil {
		t.Errorf("the result is %d, %v", v, err)
	}
	if err := ex.Close(); err != nil || len(calls) > 0 {
		t.Errorf("%d further calls, %v", len(calls), err)
	}
}

// A worker whose results are refused does not read the whole queue meanwhile.
func TestRefusedResultsStopReading(t *testing.T) {
	t.Parallel()
	ns := testkit.Namespace(t)
	url := testkit.SharedRedis(t).URL() + "/?ns=" + ns
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
	defer raw.Close()
	var log diary
	var calls atomic.Int64
	f := workers.Define("f", func(ctx context.Context, x int) (int, error) {
		calls.Add(1)
		if at, _ := workers.ItemFrom(ctx); at.Attempt == 1 && x%2 == 0 { // the others keep the worker from a rest
			return 0, errBroken
		}
		return x, nil
	})
	ex := must(executor.New(t.Context(), url, executor.Logger(nil)))(t)
	q := must(bridge.ScatterSeq(t.Context(), ex, ints(400), bridge.MaxBatch(1)))(t)
	if err := ex.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	delayed := "{" + ns + ":0}:l:" + q.Name()
	if err := raw.Set(t.Context(), delayed, "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	results := must(bridge.Gather(t.Context(), must(executor.Map(t.Context(), f, q, executor.Retries(1)))(t)))(t)
	startLogged(t, url, &log, f)
	testkit.Eventually(t, func() bool { return calls.Load() >= 127 }, "the results of 64 items are refused") // of items 0, 2, ... 126
	afterBeat(t, raw, "{"+ns+":0}:workers")                                                                  // the worker has had time to read all batches
	if n := calls.Load(); n > 128+64 {                                                                       // a request may have been under way
		t.Errorf("the worker has called the function for %d items", n)
	}
	if n := log.says("results could not be written"); n != 1 {
		t.Errorf("the worker has logged the refusal %d times", n)
	}
	if err := raw.Del(t.Context(), delayed).Err(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		n++
	}
	if err := ex.Close(); err != nil || n != 400 {
		t.Errorf("%d results, %v", n, err)
	}
}

// A completion and the requeue after it are refused, since a key of the queue has another type. When
// the key is gone, the worker goes on with the item.
func TestRefusedRequeueIsRepeated(t *testing.T) {
	t.Parallel()
	ns := testkit.Namespace(t)
	url := testkit.SharedRedis(t).URL() + "/?ns=" + ns
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
	defer raw.Close()
	var log diary
	called, release := make(chan int, 10), make(chan struct{})
	f := workers.Define("f", func(ctx context.Context, x int) (int, error) {
		called <- x
		<-release
		if at, _ := workers.ItemFrom(ctx); at.Attempt == 1 {
			return 0, errBroken
		}
		return x, nil
	})
	startLogged(t, url, &log, f)
	ex := must(executor.New(t.Context(), url, executor.Logger(nil)))(t)
	q := must(bridge.ScatterSeq(t.Context(), ex, ints(1)))(t)
	results := must(bridge.Gather(t.Context(), must(executor.Map(t.Context(), f, q, executor.Retries(1)))(t)))(t)
	<-called
	delayed := "{" + ns + ":0}:l:" + q.Name()
	if err := raw.Set(t.Context(), delayed, "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	close(release)
	testkit.Eventually(t, func() bool { return log.says("results could not be written") > 0 }, "Redis refuses the retry")
	if err := raw.Del(t.Context(), delayed).Err(); err != nil {
		t.Fatal(err)
	}
	if r := <-results; r.Value != 0 || r.Err != nil {
		t.Errorf("the result is %+v", r)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}
