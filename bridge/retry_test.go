package bridge_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// attempts counts the calls with each value, and when they were.
type attempts struct {
	mu   sync.Mutex
	made map[int][]time.Time
}

func (a *attempts) add(x int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.made == nil {
		a.made = map[int][]time.Time{}
	}
	a.made[x] = append(a.made[x], time.Now())
	return len(a.made[x])
}

// flaky fails x%4 times before it returns x.
func flaky(a *attempts) workers.Func[int, int] {
	return workers.Define("flaky", func(_ context.Context, x int) (int, error) {
		if a.add(x) <= x%4 {
			return 0, errors.New("not yet")
		}
		return x, nil
	})
}

func TestRetriesKeepTheOrderAndRunOnlyWhatFailed(t *testing.T) {
	var a attempts
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		a.made = nil
		q := stage(t, flaky(&a), scatter(t, ex, upTo(200)), executor.Retries(3), executor.Backoff(time.Millisecond, 4*time.Millisecond))
		want(t, values(t, stage(t, double, q)), doubled(upTo(200))...)
		for x, made := range a.made {
			if len(made) != x%4+1 {
				t.Errorf("%d was run %d times", x, len(made))
			}
		}
	}, flaky(&a), double)
}

func doubled(values []int) []int {
	for i := range values {
		values[i] *= 2
	}
	return values
}

// A pause is not spent in a slot: others run meanwhile, and it doubles.
func TestAnItemWaitsBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a attempts
		f := flaky(&a)
		ex := must(executor.New(t.Context(), "", executor.Concurrency(1)))(t)
		register(t, ex, f)
		begin := time.Now()
		want(t, values(t, stage(t, f, scatter(t, ex, []int{3, 4, 8}), executor.Retries(3), executor.Backoff(time.Minute, 2*time.Minute))), 3, 4, 8)
		if late := a.made[8][0].Sub(begin); late > 30*time.Second {
			t.Errorf("it waited %v for the one slot", late)
		}
		for i, least := range []time.Duration{0, 45 * time.Second, 90 * time.Second, 90 * time.Second} {
			if i == 0 {
				continue
			}
			pause := a.made[3][i].Sub(a.made[3][i-1])
			if pause < least || pause > least*5/3+2*time.Second {
				t.Errorf("attempt %d came after %v", i+1, pause)
			}
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAPermanentErrorIsTheLast(t *testing.T) {
	why := errors.New("no such order")
	var a attempts
	final := workers.Define("final", func(_ context.Context, x int) (int, error) {
		a.add(x)
		return 0, workers.Permanent(why)
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		a.made = nil
		out := must(bridge.Gather(t.Context(), stage(t, final, scatter(t, ex, []int{7}), executor.Retries(9))))(t)
		var failed *executor.ItemError
		if r := <-out; !errors.As(r.Err, &failed) || failed.Attempts != 1 || failed.Message != why.Error() {
			t.Errorf("the result is %+v", r)
		}
		for range out {
			t.Error("there is more")
		}
		if len(a.made[7]) != 1 {
			t.Errorf("%d attempts", len(a.made[7]))
		}
	}, final)
}

// A worker that delays an item and dies leaves the item to others.
func TestADeadWorkerDelaysNobodyForEver(t *testing.T) {
	t.Parallel()
	url := namespace(t)
	ex := connect(t, url)
	var a attempts
	f := flaky(&a)
	ctx, stop := context.WithCancel(t.Context())
	first := must(workers.New(url, workers.Functions(f)))(t)
	ended := make(chan error, 1)
	go func() { ended <- first.Run(ctx) }()
	out := must(bridge.Gather(t.Context(), stage(t, f, scatter(t, ex, []int{1}), executor.Retries(1), executor.Backoff(time.Second, time.Second))))(t)
	testkit.Eventually(t, func() bool {
		for _, q := range must(ex.Queues(t.Context()))(t) {
			if q.Delayed > 0 {
				return true
			}
		}
		return false
	}, "the item is delayed")
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	work(t, url, f)
	if r := <-out; r.Err != nil || r.Value != 1 {
		t.Errorf("the result is %+v", r)
	}
	for range out {
		t.Error("there is more")
	}
}
