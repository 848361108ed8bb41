package workers_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
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

// A journal keeps the calls that a middleware gets, and their errors.
type journal struct {
	mu    sync.Mutex
	calls []workers.Call
	errs  []error
}

// errPassed stands for a panic or runtime.Goexit that passes through the middleware.
var errPassed = errors.New("a panic")

func (j *journal) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls, j.errs = nil, nil
}

// middleware keeps each call and changes nothing.
func (j *journal) middleware(next workers.Handler) workers.Handler {
	return func(ctx context.Context, call workers.Call) error {
		err := errPassed
		defer func() {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.calls, j.errs = append(j.calls, call), append(j.errs, err)
		}()
		err = next(ctx, call)
		return err
	}
}

// take returns the calls of a function in the order of their offsets and attempts, with their errors, and drops
// them.
func (j *journal) take(function string) (calls []workers.Call, errs []error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var order []int
	for i, c := range j.calls {
		if c.Function == function {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(j.calls[a].Offset, j.calls[b].Offset), cmp.Compare(j.calls[a].Attempt, j.calls[b].Attempt))
	})
	for _, i := range order {
		calls, errs = append(calls, j.calls[i]), append(errs, j.errs[i])
	}
	return calls, errs
}

// eachUsing is each, with executors that have middleware.
func eachUsing(t *testing.T, test func(t *testing.T, ex *executor.Executor), middleware ...func(workers.Handler) workers.Handler) {
	t.Helper()
	opts := []executor.Option{executor.Logger(nil), executor.Lease(time.Second)}
	for _, m := range middleware {
		opts = append(opts, executor.Use(m))
	}
	for name, url := range map[string]string{"embedded": "", "redis": testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)} {
		t.Run(name, func(t *testing.T) {
			ex := must(executor.New(t.Context(), url, opts...))(t)
			test(t, ex)
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A middleware gets every call of items, batches and fused stages, with the right item.
func TestMiddlewareGetsEveryCall(t *testing.T) {
	t.Parallel()
	const n = 300
	var j journal
	eachUsing(t, func(t *testing.T, ex *executor.Executor) {
		j.clear()
		double := workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
		text := workers.Define("text", func(_ context.Context, x int) (string, error) { return fmt.Sprint(x), nil })
		whole := workers.DefineBatch("whole", func(_ context.Context, texts []string) ([]string, error) { return texts, nil })
		if err := ex.Register(double, text, whole); err != nil {
			t.Fatal(err)
		}
		q := must(bridge.ScatterSeq(t.Context(), ex, ints(n)))(t)
		doubled := must(executor.Map(t.Context(), double, q))(t)
		texts := must(executor.Map(t.Context(), text, doubled))(t)
		same := must(executor.Map(t.Context(), whole, texts))(t)
		got := 0
		for v, err := range bridge.All(t.Context(), same) {
			if v != fmt.Sprint(2*got) || err != nil {
				t.Errorf("%d: %q, %v", got, v, err)
			}
			got++
		}
		source, stages := "", map[string]bool{}
		for function, queue := range map[string]string{"double": q.Name(), "text": doubled.Name(), "whole": texts.Name()} {
			calls, errs := j.take(function)
			next := int64(0)
			for i, c := range calls {
				source = cmp.Or(source, c.Source)
				if c.Queue != queue || c.Source != source || c.Offset != next || c.Attempt != 1 || c.Stage == "" || errs[i] != nil {
					t.Errorf("call %d of %s is %+v, want offset %d and queue %s", i, function, c, next, queue)
				}
				stages[c.Stage] = true
				next += int64(c.Items)
			}
			if next != n || function != "whole" && len(calls) != n {
				t.Errorf("%s: %d calls for %d items", function, len(calls), next)
			}
		}
		if got != n || len(stages) != 3 {
			t.Errorf("%d results, %d stages", got, len(stages))
		}
	}, j.middleware)
}

var (
	errOdd  = errors.New("odd")
	errFull = errors.New("the disk is full")
)

// A middleware sees each attempt with its number and its error.
func TestMiddlewareSeesAttempts(t *testing.T) {
	t.Parallel()
	var j journal
	eachUsing(t, func(t *testing.T, ex *executor.Executor) {
		j.clear()
		var broken atomic.Bool
		broken.Store(true)
		f := workers.Define("f", func(ctx context.Context, x int) (int, error) {
			at, _ := workers.ItemFrom(ctx)
			switch {
			case x == 1 && at.Attempt == 1:
				return 0, errOdd
			case x == 2:
				panic("two")
			case x == 3:
				runtime.Goexit()
			case x == 4:
				return 0, workers.Permanent(errOdd)
			case x == 5 && broken.Swap(false):
				return 0, workers.Unavailable(errFull)
			}
			return x, nil
		})
		if err := ex.Register(f); err != nil {
			t.Fatal(err)
		}
		q := must(bridge.ScatterSeq(t.Context(), ex, ints(6)))(t)
		q = must(executor.Map(t.Context(), f, q, executor.Retries(1), executor.Backoff(time.Millisecond, time.Millisecond)))(t)
		wantFailures(t, q, map[int]string{2: "panic: two", 3: "runtime.Goexit", 4: "odd"})
		wantAttempts(j.take("f"))(t)
	}, j.middleware)
}

// wantAttempts checks the calls of the function above.
func wantAttempts(calls []workers.Call, errs []error) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for i, c := range calls {
			var want error
			switch {
			case c.Offset == 1 && c.Attempt == 1, c.Offset == 4:
				want = errOdd
			case c.Offset == 5 && i+1 < len(calls): // the repeated call follows
				want = errFull
			case c.Offset == 2 || c.Offset == 3:
				want = errPassed
			}
			if !errors.Is(errs[i], want) || c.Items != 1 {
				t.Errorf("attempt %d of item %d: %v, want %v", c.Attempt, c.Offset, errs[i], want)
			}
		}
		if last := calls[len(calls)-1]; last.Offset != 5 || last.Attempt != 1 {
			t.Errorf("the last call is for item %d, attempt %d; an unavailable function counts no attempt", last.Offset, last.Attempt)
		}
	}
}

// A middleware of a batch function sees the errors of single items.
func TestMiddlewareSeesSingleErrors(t *testing.T) {
	t.Parallel()
	var j journal
	eachUsing(t, func(t *testing.T, ex *executor.Executor) {
		j.clear()
		f := workers.DefineBatch("f", func(_ context.Context, xs []int) ([]int, error) {
			failed := workers.Errors{}
			for i, x := range xs {
				if x == 1 || x == 4 {
					failed[i] = errOdd
				}
			}
			return xs, fmt.Errorf("some failed: %w", failed)
		})
		if err := ex.Register(f); err != nil {
			t.Fatal(err)
		}
		q := must(executor.Map(t.Context(), f, must(bridge.ScatterSeq(t.Context(), ex, ints(6), bridge.MaxBatch(6)))(t)))(t)
		wantFailures(t, q, map[int]string{1: "odd", 4: "odd"})
		_, errs := j.take("f")
		failed := 0
		for _, err := range errs {
			some, _ := errors.AsType[workers.Errors](err)
			failed += len(some)
		}
		if failed != 2 {
			t.Errorf("the middleware saw %d failed items in %v", failed, errs)
		}
	}, j.middleware)
}

// wantFailures checks that the results of a queue are their offsets, but for the failures.
func wantFailures(t *testing.T, q *executor.Queue[int], failures map[int]string) {
	t.Helper()
	next := 0
	for r := range must(bridge.Gather(t.Context(), q))(t) {
		why, fails := failures[next]
		if fails != (r.Err != nil) || !fails && r.Value != next || fails && !strings.Contains(r.Err.Error(), why) {
			t.Errorf("%d: %d, %v", next, r.Value, r.Err)
		}
		next++
	}
	if next != 6 {
		t.Errorf("%d results", next)
	}
}

type keyOfTest struct{}

// The first Use is the outermost one. A function gets the context of the innermost middleware, which
// may change the error, keep the function from being called, and set a deadline.
func TestMiddlewareChangesCalls(t *testing.T) {
	t.Parallel()
	mark := func(name string) func(workers.Handler) workers.Handler {
		return func(next workers.Handler) workers.Handler {
			return func(ctx context.Context, call workers.Call) error {
				before, _ := ctx.Value(keyOfTest{}).(string)
				err := next(context.WithValue(ctx, keyOfTest{}, before+name), call)
				if err != nil {
					err = fmt.Errorf("%s: %w", name, err)
				}
				return err
			}
		}
	}
	refuse := func(next workers.Handler) workers.Handler {
		return func(ctx context.Context, call workers.Call) error {
			if call.Offset == 1 {
				return workers.Permanent(errors.New("refused"))
			}
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			return next(ctx, call)
		}
	}
	eachUsing(t, func(t *testing.T, ex *executor.Executor) {
		f := func(ctx context.Context, x int) (int, error) {
			at, ok := workers.ItemFrom(ctx)
			deadline, limited := ctx.Deadline()
			if got := ctx.Value(keyOfTest{}); got != "ab" || !ok || at.Offset != int64(x) || !limited || time.Until(deadline) > time.Minute {
				return 0, fmt.Errorf("%v, %+v, %v", got, at, deadline)
			}
			if x == 2 {
				return 0, errOdd
			}
			return x, nil
		}
		single := workers.Define("single", f)
		whole := workers.DefineBatch("whole", func(ctx context.Context, xs []int) ([]int, error) {
			if len(xs) != 1 {
				return nil, errors.New("a call has several items")
			}
			_, err := f(ctx, xs[0])
			return xs, err
		}, workers.BatchSize(1, 1))
		if err := ex.Register(single, whole); err != nil {
			t.Fatal(err)
		}
		for _, fn := range []workers.Func[int, int]{single, whole} {
			q := must(bridge.ScatterSeq(t.Context(), ex, ints(6)))(t)
			q = must(executor.Map(t.Context(), fn, q, executor.Retries(3)))(t)
			wantFailures(t, q, map[int]string{1: "a: b: refused", 2: "a: b: odd"})
		}
	}, mark("a"), mark("b"), refuse)
}

// The end of a future and a timeout reach a function through its middleware.
func TestContextsEndThroughMiddleware(t *testing.T) {
	t.Parallel()
	var j journal
	eachUsing(t, func(t *testing.T, ex *executor.Executor) {
		begun := make(chan struct{}, 1)
		f := workers.Define("f", func(ctx context.Context, _ int) (int, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if err := ex.Register(f); err != nil {
			t.Fatal(err)
		}
		future := must(executor.Submit(t.Context(), ex, f, 1))(t)
		<-begun
		if err := future.Cancel(t.Context()); err != nil {
			t.Error(err)
		}
		testkit.Eventually(t, func() bool {
			_, errs := j.take("f")
			return len(errs) > 0 && errors.Is(errs[len(errs)-1], context.Canceled)
		}, "the middleware sees the end of the future")
		_, err := must(executor.Submit(t.Context(), ex, f, 2, executor.Timeout(20*time.Millisecond)))(t).Result(t.Context())
		if err == nil || !strings.Contains(err.Error(), "timeout: the function took longer") {
			t.Errorf("the error is %v", err)
		}
		<-begun
	}, j.middleware)
}

// A worker of its own, whose functions are registered later, has middleware too. Its constructor runs once.
func TestMiddlewareIsMadeOnce(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	made, calls := 0, atomic.Int64{}
	w := must(workers.New(url, workers.Concurrency(4), workers.Logger(nil), workers.Use(func(next workers.Handler) workers.Handler {
		made++
		return func(ctx context.Context, call workers.Call) error {
			calls.Add(1)
			return next(ctx, call)
		}
	})))(t)
	same := func(_ context.Context, x int) (int, error) { return x, nil }
	first, second := workers.Define("first", same), workers.Define("second", same)
	if err := w.Register(t.Context(), first, second); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	ex := must(executor.New(t.Context(), url))(t)
	q := must(bridge.ScatterSeq(t.Context(), ex, ints(6)))(t)
	for _, f := range []workers.Func[int, int]{first, second} {
		q = must(executor.Map(t.Context(), f, q))(t)
	}
	wantFailures(t, q, nil)
	stop()
	if err := errors.Join(<-ended, ex.Close()); err != nil {
		t.Error(err)
	}
	if made != 1 || calls.Load() < 12 {
		t.Errorf("made %d times, %d calls", made, calls.Load())
	}
}

func TestMisuseOfUse(t *testing.T) {
	t.Parallel()
	const url = "redis://127.0.0.1:1"
	for want, middleware := range map[string]func(workers.Handler) workers.Handler{
		"pass a function":  nil,
		"return a Handler": func(workers.Handler) workers.Handler { return nil },
		"has panicked: no": func(workers.Handler) workers.Handler { panic("no") },
	} {
		_, err := workers.New(url, workers.Use(middleware))
		wantError(t, "workers.New", err, want)
		_, err = executor.New(t.Context(), "", executor.Use(middleware))
		wantError(t, "executor.New", err, want)
	}
	ex := must(executor.New(t.Context(), "", executor.Use(func(next workers.Handler) workers.Handler {
		return func(ctx context.Context, _ workers.Call) error { return next(ctx, workers.Call{Function: "f"}) }
	})))(t)
	f := workers.Define("f", func(_ context.Context, x int) (int, error) { return x, nil })
	if err := ex.Register(f); err != nil {
		t.Fatal(err)
	}
	_, err := must(executor.Submit(t.Context(), ex, f, 1))(t).Result(t.Context())
	wantError(t, "another Call", err, "pass the Call that the Handler got")
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}
