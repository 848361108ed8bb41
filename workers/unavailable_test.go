package workers_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

var errBroken = errors.New("no room here")

// each runs a test on the embedded broker and on a redis-server.
func each(t *testing.T, test func(t *testing.T, ex *executor.Executor)) {
	for name, url := range map[string]string{"embedded": "", "redis": testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)} {
		t.Run(name, func(t *testing.T) {
			ex := must(executor.New(t.Context(), url, executor.Logger(nil), executor.Lease(time.Second)))(t)
			test(t, ex)
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// An item for which a function is unavailable does not fail, also without Retries: single items,
// batches and the second of two fused stages.
func TestUnavailableIsNoAttempt(t *testing.T) {
	each(t, func(t *testing.T, ex *executor.Executor) {
		const n = 200
		var broken [3]atomic.Int64
		now := func(which int) error {
			if c := broken[which].Add(1); c%50 == 7 || c == 1 {
				return workers.Unavailable(errBroken)
			}
			return nil
		}
		first := workers.Define("first", func(ctx context.Context, x int) (int, error) {
			if at, _ := workers.ItemFrom(ctx); at.Attempt != 1 {
				return 0, errors.New("an attempt was counted")
			}
			return x, now(0)
		})
		second := workers.Define("second", func(_ context.Context, x int) (int, error) { return x, now(1) })
		batch := workers.DefineBatch("batch", func(_ context.Context, xs []int) ([]int, error) { return xs, now(2) })
		if err := ex.Register(first, second, batch); err != nil {
			t.Fatal(err)
		}
		q := must(bridge.ScatterSeq(t.Context(), ex, ints(n)))(t)
		for _, f := range []workers.Func[int, int]{first, second, batch} {
			q = must(executor.Map(t.Context(), f, q))(t)
		}
		next := 0
		for v, err := range bridge.All(t.Context(), q) {
			if v != next || err != nil {
				t.Fatalf("%d: %d, %v", next, v, err)
			}
			next++
		}
		if next != n {
			t.Errorf("%d results of %d", next, n)
		}
	})
}

// Items go from a worker that cannot run them to one that can, and soon the first worker takes
// none.
func TestUnavailableGoesElsewhere(t *testing.T) {
	const n = 500
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	var tried atomic.Int64
	broken := workers.Define("f", func(context.Context, string) (string, error) {
		tried.Add(1)
		return "", workers.Unavailable(errBroken)
	})
	works := workers.Define("f", func(_ context.Context, s string) (string, error) { return s, nil })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for _, f := range []workers.Function{broken, works} {
		w := must(workers.New(url, workers.Concurrency(4), workers.Functions(f), workers.Logger(nil)))(t)
		go func() { ended <- w.Run(ctx) }()
		<-w.Ready()
	}
	ex := must(executor.New(t.Context(), url))(t)
	in := slices.Values(slices.Repeat([]string{"item"}, n))
	q := must(executor.Map(t.Context(), works, must(bridge.ScatterSeq(t.Context(), ex, in, bridge.MaxBatch(1)))(t)))(t)
	got := 0
	for v, err := range bridge.All(t.Context(), q) {
		if v != "item" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		got++
	}
	if got != n || tried.Load() > n/4 {
		t.Errorf("%d results of %d; the broken worker tried %d items", got, n, tried.Load())
	}
	stop()
	if err := errors.Join(<-ended, <-ended, ex.Close()); err != nil {
		t.Error(err)
	}
}

// An item for which a function is unavailable again and again fails, if the function succeeds for
// others.
func TestUnavailableForOneItemFails(t *testing.T) {
	each(t, func(t *testing.T, ex *executor.Executor) {
		failed := make(chan struct{})
		f := workers.Define("f", func(_ context.Context, x int) (string, error) {
			if x == 0 {
				return "", workers.Unavailable(errBroken)
			}
			return "", nil
		})
		if err := ex.Register(f); err != nil {
			t.Fatal(err)
		}
		var others sync.WaitGroup
		others.Go(func() { // calls that succeed keep the rests short
			for x := 1; ; x++ {
				select {
				case <-failed:
					return
				default:
				}
				if _, err := must(executor.Submit(t.Context(), ex, f, x))(t).Result(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		_, err := must(executor.Submit(t.Context(), ex, f, 0))(t).Result(t.Context())
		if err == nil || !strings.Contains(err.Error(), errBroken.Error()) {
			t.Errorf("got %v", err)
		}
		close(failed)
		others.Wait()
	})
}

func TestRetryAfter(t *testing.T) {
	each(t, func(t *testing.T, ex *executor.Executor) {
		const pause = 300 * time.Millisecond
		var last atomic.Int64
		f := workers.Define("f", func(ctx context.Context, x int) (int, error) {
			at, _ := workers.ItemFrom(ctx)
			switch {
			case x == 2 || at.Attempt == 1:
				last.Store(time.Now().UnixNano())
				return 0, workers.RetryAfter(errBroken, pause)
			case time.Since(time.Unix(0, last.Load())) < pause:
				return 0, workers.Permanent(errors.New("too early"))
			}
			return at.Attempt, nil
		})
		if err := ex.Register(f); err != nil {
			t.Fatal(err)
		}
		for x, want := range []int{2, 2, 0} {
			v, err := must(executor.Submit(t.Context(), ex, f, x, executor.Retries(1), executor.Backoff(time.Millisecond, time.Millisecond)))(t).Result(t.Context())
			if v != want || (err == nil) != (want > 0) {
				t.Errorf("%d: %d, %v", x, v, err)
			}
		}
	})
}

func TestErrorsOfFunctionsAreSeenThrough(t *testing.T) {
	for _, err := range []error{workers.Permanent(errBroken), workers.Unavailable(errBroken), workers.RetryAfter(errBroken, time.Second)} {
		if !errors.Is(err, errBroken) || err.Error() != errBroken.Error() {
			t.Errorf("%v", err)
		}
	}
	for _, err := range []error{workers.Permanent(nil), workers.Unavailable(nil), workers.RetryAfter(nil, time.Second)} {
		if err != nil {
			t.Error(err)
		}
	}
}
