package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

// A waiting Each is a call in another goroutine. Its sink waits at 3, and fails at 2.
type waitingEach struct {
	ex    *executor.Executor
	in    chan int
	q     *executor.Queue[int]
	store workers.Sink[int]
	ended chan error
	left  context.CancelFunc
}

// startEach starts an Each over a queue into which a scatter with a context sends.
func startEach(t *testing.T, f *dqtest.Fleet, scattering context.Context, opts ...bridge.ScatterOption) *waitingEach {
	t.Helper()
	w := &waitingEach{in: make(chan int), ended: make(chan error, 1)}
	w.store = workers.DefineSink("store", func(ctx context.Context, row int) error {
		switch row {
		case 2:
			return errDuplicate
		case 3:
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return nil
	})
	w.ex, _ = f.StartExecutor()
	f.StartWorker(workers.Functions(w.store, inc))
	var err error
	if w.q, err = bridge.Scatter(scattering, w.ex, w.in, opts...); err != nil {
		t.Fatal(err)
	}
	w.each(t)
	return w
}

func (w *waitingEach) each(t *testing.T) {
	t.Helper()
	var ctx context.Context
	ctx, w.left = context.WithCancel(t.Context())
	t.Cleanup(w.left)
	go func() { w.ended <- flow.Each(ctx, w.store, w.q) }()
}

func TestEachEndsWithItsStream(t *testing.T) {
	for name, c := range map[string]struct {
		rows []int
		end  func(w *waitingEach, abort context.CancelFunc) error
		want error
	}{
		"its context ends":              {[]int{0, 3}, func(w *waitingEach, _ context.CancelFunc) error { w.left(); return nil }, context.Canceled},
		"its context ends after errors": {[]int{0, 2, 1, 2, 3}, func(w *waitingEach, _ context.CancelFunc) error { w.left(); return nil }, context.Canceled},
		"its executor is closed":        {[]int{0, 3}, func(w *waitingEach, _ context.CancelFunc) error { return w.ex.Close() }, executor.ErrClosed},
		"its scatter is aborted":        {[]int{0, 2}, func(_ *waitingEach, abort context.CancelFunc) error { abort(); return nil }, executor.ErrTruncated},
		"its queue is deleted": {[]int{0, 2, 3}, func(w *waitingEach, _ context.CancelFunc) error {
			return w.q.Delete(context.Background())
		}, executor.ErrQueueNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				scattering, abort := context.WithCancel(t.Context())
				defer abort()
				w := startEach(t, f, scattering)
				failed := 0
				for _, row := range c.rows {
					w.in <- row
					if row == 2 {
						failed++
					}
				}
				<-time.After(time.Second) // the results have come
				if err := c.end(w, abort); err != nil {
					t.Fatal(err)
				}
				err := <-w.ended
				if !errors.Is(err, c.want) {
					t.Errorf("Each returned %v", err)
				}
				var some *flow.Failed
				if errors.As(err, &some) != (failed > 0) || some != nil && some.N != failed {
					t.Errorf("Each returned %v, want %d failed items beside it", err, failed)
				}
				<-w.q.Done()
				<-time.After(time.Minute) // no call can wait for the rest
				if !errors.Is(c.want, executor.ErrClosed) {
					if queues, err := w.ex.Queues(t.Context()); err != nil || len(queues) > 0 {
						t.Errorf("queues are left: %v, %v", queues, err)
					}
				}
			})
		})
	}
}

// The stage of a named queue goes on while no Each waits. The next one sees the failures that no other has seen.
func TestEachOverNamedQueueGoesOn(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		w := startEach(t, f, t.Context(), bridge.Name("rows"))
		for _, row := range []int{0, 2, 1, 2} {
			w.in <- row
		}
		<-time.After(time.Second)
		if err := flow.Each(t.Context(), w.store, w.q); !errors.Is(err, executor.ErrConsumerExists) {
			t.Errorf("a second Each at the same time: %v", err)
		}
		w.left()
		var failed *flow.Failed
		if err := <-w.ended; !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || failed.N != 2 {
			t.Errorf("Each returned %v", err)
		}
		for _, row := range []int{4, 2, 5} {
			w.in <- row
		}
		close(w.in)
		<-time.After(time.Minute)
		if err := w.q.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := flow.Each(t.Context(), w.store, w.q)
		checkFailed(t, err, 1, 5, "error")
		for _, queue := range []string{"rows", "rows.store"} {
			if err := w.ex.Delete(t.Context(), queue); err != nil {
				t.Error(err)
			}
		}
		if queues, err := w.ex.Queues(t.Context()); err != nil || len(queues) > 0 {
			t.Errorf("queues are left: %v, %v", queues, err)
		}
	})
}

// A source of an open queue that ends before its input does is an error, once the queue has ended.
func TestEachReportsCutSources(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		scattering, abort := context.WithCancel(t.Context())
		w := startEach(t, f, scattering, bridge.Name("rows"))
		w.in <- 2
		<-time.After(time.Second)
		abort()
		<-w.q.Done()
		if _, err := bridge.ScatterSeq(t.Context(), w.ex, slices.Values([]int{0, 2}), bridge.Name("rows")); err != nil {
			t.Fatal(err)
		}
		if err := w.q.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		var failed *flow.Failed
		if err := <-w.ended; !errors.Is(err, executor.ErrTruncated) || !errors.As(err, &failed) || failed.N != 2 {
			t.Errorf("Each returned %v", err)
		}
		for _, queue := range []string{"rows", "rows.store"} {
			if err := w.ex.Delete(t.Context(), queue); err != nil {
				t.Error(err)
			}
		}
	})
}

// Sinks, predicates and functions with results are told apart by their names in the fleet too.
func TestSinksAreToldApart(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		var stored table
		f.StartWorker(all, workers.Functions(below, workers.DefineSink("store", stored.insert), workers.DefineSink("print", func(context.Context, string) error { return nil })))
		synctest.Wait()
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(3)))
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			err  error
			want string
		}{
			"a map":           {errOf(executor.Map(t.Context(), workers.Remote[int, int]("store"), q)), "the workers have it as a sink of int"},
			"a filter":        {errOf(flow.Filter(t.Context(), workers.RemoteFilter[int]("store"), q)), "as a sink of int"},
			"a flat map":      {errOf(flow.FlatMap(t.Context(), workers.RemoteFlatMap[int, int]("store"), q)), "as a sink of int"},
			"of a map":        {flow.Each(t.Context(), workers.RemoteSink[int]("inc"), q), "this handle is as a sink of int"},
			"of a filter":     {flow.Each(t.Context(), workers.RemoteSink[int]("even"), q), "the workers have it as a filter"},
			"of a flat map":   {flow.Each(t.Context(), workers.RemoteSink[int]("below"), q), "the workers have it as a flat map"},
			"of another type": {flow.Each(t.Context(), workers.RemoteSink[int]("print"), q), "as a sink of string"},
		} {
			if !errors.Is(c.err, executor.ErrTypeMismatch) || !strings.Contains(c.err.Error(), c.want) {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		failures, err := flow.FlatMap(t.Context(), workers.RemoteFlatMap[int, struct{}]("store"), q)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, err := range bridge.All(t.Context(), failures) {
			if n++; !bridge.IsItemError(err) {
				t.Error(err)
			}
		}
		if n != 1 {
			t.Errorf("%d results, want the failure", n)
		}
	})
}

func errOf(_ any, err error) error { return err }

// Timeouts, permanent errors, middleware and Version work for sinks.
func TestSinksRunAsOtherFunctions(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		var calls, attempts, around atomic.Int64
		store := workers.DefineSink("store", func(ctx context.Context, row int) error {
			calls.Add(1)
			switch row {
			case 1:
				<-ctx.Done()
				return ctx.Err()
			case 2:
				return workers.Permanent(errDuplicate)
			case 3:
				if attempts.Add(1) < 3 {
					return errDuplicate
				}
			case 4:
				panic("four")
			}
			return nil
		}, workers.Version("v1"))
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(store), workers.Use(func(next workers.Handler) workers.Handler {
			return func(ctx context.Context, c workers.Call) error {
				around.Add(1)
				return next(ctx, c)
			}
		}))
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(6)))
		if err != nil {
			t.Fatal(err)
		}
		err = flow.Each(t.Context(), store, q, executor.Retries(2), executor.Timeout(time.Second), executor.MaxConcurrency(1))
		checkFailed(t, err, 3, 1, "timeout")
		if want := int64(1 + 3 + 1 + 3 + 3 + 1); calls.Load() != want || around.Load() != want {
			t.Errorf("%d calls, %d through the middleware, want %d", calls.Load(), around.Load(), want)
		}
		functions, err := ex.Functions(t.Context())
		if err != nil || len(functions) != 1 || functions[0].Version != "v1" || fmt.Sprint(functions[0].Out) != "struct {}" {
			t.Errorf("the functions are %+v, %v", functions, err)
		}
	})
}

// Batch gives a call of a sink the items of several batches, also through a handle.
func TestBatchesOfSinks(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		calls := make(chan int, 10)
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(workers.DefineBatchSink("store", func(_ context.Context, rows []int) error {
			calls <- len(rows)
			return nil
		})))
		in := make(chan int)
		q, err := bridge.Scatter(t.Context(), ex, in)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(in)
			for x := range 25 {
				in <- x
				<-time.After(time.Millisecond)
			}
		}()
		if err := flow.Each(t.Context(), workers.RemoteSink[int]("store"), q, executor.Batch(10, time.Second)); err != nil {
			t.Error(err)
		}
		close(calls)
		var got []int
		for n := range calls {
			got = append(got, n)
		}
		if want := []int{10, 10, 5}; !slices.Equal(got, want) {
			t.Errorf("calls of %v items, want %v", got, want)
		}
	})
}
