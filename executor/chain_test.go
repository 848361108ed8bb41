package executor_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// The functions of a chain from a text to a number and on to another text.
var (
	parse = workers.Define("parse", func(_ context.Context, s string) (int, error) { return strconv.Atoi(s) })
	half  = workers.Define("half", func(_ context.Context, x int) (float64, error) { return float64(x) / 2, nil })
	words = workers.Define("words", func(_ context.Context, x float64) (string, error) {
		if x < 0 {
			return "", errors.New("below zero")
		}
		return strconv.FormatFloat(x, 'g', -1, 64), nil
	})
)

func parseHalfWords() workers.Func[string, string] {
	return executor.Chain(executor.Chain(parse, half), words)
}

// One future has the result of all functions of a chain. A worker that knows all of its stages, from the
// first results on, runs them one after another: nothing goes through the queues between them.
func TestChain(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for range 3 { // a chain that is made anew each time has the same stages
			futures, err := executor.MapSlice(t.Context(), ex, parseHalfWords(), []string{"3", "8"})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := executor.GatherSlice(t.Context(), futures); !slices.Equal(got, []string{"1.5", "4"}) || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
		queues, err := ex.Queues(t.Context())
		if err != nil || len(queues) != 3 || executor.Submitters(ex) != 1 {
			t.Fatalf("%d queues, %d submitters, %v", len(queues), executor.Submitters(ex), err)
		}
		flow := ""
		for _, q := range queues {
			if q.Flow == q.Name {
				flow = q.Name
			}
		}
		for _, q := range queues {
			if q.Flow != flow || q.Name != flow && (q.Added > 2 || q.Added+q.Fused != 6) {
				t.Errorf("queue %s of flow %s: %d items came, %d were handed on", q.Name, q.Flow, q.Added, q.Fused)
			}
		}
	}, parse, half, words)
}

// The first failure of a chain is the error of the future, and the other futures have their values.
func TestChainFails(t *testing.T) {
	var calls atomic.Int64
	counted := workers.Define("counted", func(_ context.Context, x float64) (float64, error) { calls.Add(1); return x, nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		calls.Store(0)
		chain := executor.Chain(parse, executor.Chain(executor.Chain(half, counted), words))
		futures, err := executor.MapSlice(t.Context(), ex, chain, []string{"x", "-2", "2"}, executor.Retries(1), executor.Backoff(time.Millisecond, time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []executor.ItemError{
			{Function: "parse", Message: `strconv.Atoi: parsing "x": invalid syntax`, Attempts: 2},
			{Function: "words", Message: "below zero", Attempts: 2},
		} {
			_, err := futures[i].Result(t.Context())
			failed, ok := errors.AsType[*executor.ItemError](err)
			if !ok || failed.Function != want.Function || failed.Message != want.Message || failed.Attempts != want.Attempts {
				t.Errorf("future %d: %v", i, err)
			}
		}
		if v, err := futures[2].Result(t.Context()); v != "1" || err != nil || calls.Load() != 2 {
			t.Errorf("%q, %v after %d calls", v, err, calls.Load())
		}
	}, parse, half, words, counted)
}

// A canceled future ends the context of the function that runs for it, whichever of the chain that is.
func TestChainIsCanceled(t *testing.T) {
	for at := range 3 {
		begun, ended := make(chan struct{}, 1), make(chan struct{}, 1)
		link := func(name string, i int) workers.Func[int, int] {
			return workers.Define(name, func(ctx context.Context, x int) (int, error) {
				if i != at || x == 0 {
					return x, nil
				}
				begun <- struct{}{}
				<-ctx.Done()
				ended <- struct{}{}
				return 0, ctx.Err()
			})
		}
		first, second, third := link("first", 0), link("second", 1), link("third", 2)
		onBoth(t, func(t *testing.T, ex *executor.Executor) {
			futures, err := executor.MapSlice(t.Context(), ex, executor.Chain(executor.Chain(first, second), third), []int{1, 0})
			if err != nil {
				t.Fatal(err)
			}
			<-begun
			if err := futures[0].Cancel(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-ended
			if _, err := futures[0].Result(t.Context()); !errors.Is(err, executor.ErrCanceled) {
				t.Errorf("got %v", err)
			}
			if v, err := futures[1].Result(t.Context()); v != 0 || err != nil {
				t.Errorf("the value beside it: %d, %v", v, err)
			}
		}, first, second, third)
	}
}

// Functions of a chain may be in different workers, and each of these may be killed. Batch functions
// are links like others.
func TestChainOverWorkersThatDie(t *testing.T) {
	const n = 200
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		var victim atomic.Pointer[dqtest.Process]
		var runs atomic.Int64
		next := workers.Define("next", func(_ context.Context, x int) (int, error) {
			if p := victim.Load(); p != nil && runs.Add(1) == n/2 {
				p.Kill()
			}
			return x + 1, nil
		})
		double := workers.DefineBatch("double", func(_ context.Context, xs []int) ([]int, error) {
			for i := range xs {
				xs[i] *= 2
			}
			return xs, nil
		})
		victim.Store(f.StartWorker(workers.Functions(next)))
		f.StartWorker(workers.Functions(double))
		values := make([]int, n)
		for i := range values {
			values[i] = i
		}
		futures, err := executor.MapSlice(t.Context(), ex, executor.Chain(executor.Chain(next, double), next), values)
		if err != nil {
			t.Fatal(err)
		}
		f.StartWorker(workers.Functions(next))
		got, err := executor.GatherSlice(t.Context(), futures)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if v != 2*(i+1)+1 {
				t.Fatalf("value %d: %d", i, v)
			}
		}
	})
}

// A future of a chain whose item has gone is lost, and one whose item is in a later queue is not.
func TestChainIsLostWithItsItem(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(parse))
		future, err := executor.Submit(t.Context(), ex, executor.Chain(parse, half), "7")
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute) // the mailbox looks many times
		if future.Done() {
			_, err := future.Result(t.Context())
			t.Fatalf("done without a worker: %v", err)
		}
		f.LoseData()
		if _, err := future.Result(t.Context()); !errors.Is(err, executor.ErrLost) {
			t.Errorf("got %v", err)
		}
	})
}

// If somebody deletes a queue of a chain, its futures are lost, and later calls make new queues.
func TestChainWithoutOneOfItsQueues(t *testing.T) {
	begun, gate := make(chan struct{}, 10), make(chan struct{})
	wait := workers.Define("wait", func(_ context.Context, s string) (string, error) {
		begun <- struct{}{}
		<-gate
		return s, nil
	})
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		gate = make(chan struct{})
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(wait, parse))
		chain := executor.Chain(wait, parse)
		future, err := executor.Submit(t.Context(), ex, chain, "7")
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		for _, q := range f.Queues() {
			if q.Flow != q.Name {
				if err := ex.Delete(t.Context(), q.Name); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := future.Result(t.Context()); !errors.Is(err, executor.ErrLost) {
			t.Errorf("got %v", err)
		}
		close(gate)
		future, err = executor.Submit(t.Context(), ex, chain, "8")
		if err != nil {
			t.Fatal(err)
		}
		if v, err := future.Result(t.Context()); v != 8 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
	})
}

// The queues of a chain go when it is idle.
func TestIdleChainsAreForgotten(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(parse, half, words))
		future, err := executor.Submit(t.Context(), ex, parseHalfWords(), "9")
		if err != nil {
			t.Fatal(err)
		}
		if v, err := future.Result(t.Context()); v != "4.5" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
		<-time.After(3 * time.Minute)
		if n := executor.Submitters(ex); n != 0 {
			t.Errorf("%d idle submitters", n)
		}
		gone(t, ex)
	})
}

// Each mistake in a chain is an error of the call that uses it.
func TestChainsWithMistakes(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		packed := workers.Remote[int, float64]("packed", workers.WithCodec(workers.MsgPack()))
		bad := workers.Remote[int, int]("a name with spaces")
		if _, err := executor.Submit(t.Context(), ex, executor.Chain(parse, packed), "1"); !errors.Is(err, executor.ErrTypeMismatch) {
			t.Errorf("another codec: %v", err)
		}
		if _, err := executor.Submit(t.Context(), ex, executor.Chain(parse, bad), "1"); err == nil || err.Error() != bad.Err().Error() {
			t.Errorf("a bad function: %v", err)
		}
		chain := executor.Chain(parse, half)
		if chain.Name() != "parse.half" || chain.Err() != nil {
			t.Errorf("%q, %v", chain.Name(), chain.Err())
		}
		if err := ex.Register(chain); err == nil {
			t.Error("a worker takes a chain")
		}
		in := make(chan string)
		close(in)
		q, err := bridge.Scatter(t.Context(), ex, in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := executor.Map(t.Context(), chain, q); err == nil {
			t.Error("Map takes a chain")
		}
	}, parse, half)
}

// Two chains may have the same name and the same types at their ends: their functions tell them apart.
func TestChainsOfOneNameDiffer(t *testing.T) {
	add := func(name string, n int) workers.Func[int, int] {
		return workers.Define(name, func(_ context.Context, x int) (int, error) { return x + n, nil })
	}
	first := []workers.Func[int, int]{add("one.two", 1), add("three", 2)}
	second := []workers.Func[int, int]{add("one", 10), add("two.three", 20)}
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		f.StartWorker(workers.Functions(first[0], first[1], second[0], second[1]))
		ex, _ := f.StartExecutor()
		for want, chain := range map[int][]workers.Func[int, int]{3: first, 30: second} {
			future, err := executor.Submit(t.Context(), ex, executor.Chain(chain[0], chain[1]), 0)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := future.Result(t.Context()); got != want || err != nil {
				t.Errorf("%d, %v, want %d", got, err, want)
			}
		}
	})
}
