package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

var (
	words = workers.DefineFlatMap("words", func(_ context.Context, line string, yield func(string)) error {
		for w := range strings.FieldsSeq(line) {
			yield(w)
		}
		return nil
	})
	below = workers.DefineFlatMap("below", func(_ context.Context, n int, yield func(int)) error {
		for i := range n {
			yield(i)
		}
		if n == 7 {
			return errors.New("seven is not for me")
		}
		return nil
	})
)

var hundred = workers.DefineFlatMap("hundred", func(_ context.Context, x int, yield func(int)) error {
	for i := range 100 {
		yield(x + i)
	}
	return nil
})

func flatMapBy(f workers.FlatFunc[int, int], opts ...executor.MapOption) pipe {
	return func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
		return flow.FlatMap(ctx, f, q, opts...)
	}
}

// An oracle computes what a stage makes of one item: its outputs, or an error.
type oracle = func(x int) ([]int, error)

// expected returns the results of a flow of stages for some inputs.
func expected(in []int, stages ...oracle) (want []string) {
	for offset, x := range in {
		values := []int{x}
		var failed []bool
		failed = append(failed, false)
		for _, stage := range stages {
			var next []int
			var nextFailed []bool
			for i, v := range values {
				if failed[i] {
					next, nextFailed = append(next, v), append(nextFailed, true)
				} else if made, err := stage(v); err != nil {
					next, nextFailed = append(next, 0), append(nextFailed, true)
				} else {
					next, nextFailed = append(next, made...), append(nextFailed, make([]bool, len(made))...)
				}
			}
			values, failed = next, nextFailed
		}
		for i, v := range values {
			if failed[i] {
				want = append(want, fmt.Sprintf("%d:err", offset))
			} else {
				want = append(want, fmt.Sprintf("%d:%d", offset, v))
			}
		}
	}
	return want
}

// The oracles of the functions of the tests.
func mapped(f func(int) int) oracle { return func(x int) ([]int, error) { return []int{f(x)}, nil } }

func filtered(keep func(context.Context, int) (bool, error)) oracle {
	return func(x int) ([]int, error) {
		if ok, err := keep(context.Background(), x); err != nil || !ok {
			return nil, err
		}
		return []int{x}, nil
	}
}

func belowOf(n int) ([]int, error) {
	if n == 7 {
		return nil, errors.New("seven")
	}
	return upTo(n), nil
}

func hundredOf(x int) (made []int, _ error) {
	for i := range 100 {
		made = append(made, x+i)
	}
	return made, nil
}

var incOf, doubleOf = mapped(func(x int) int { return x + 1 }), mapped(func(x int) int { return 2 * x })

func TestFlatMap(t *testing.T) {
	noFuse := executor.NoFuse()
	for name, c := range map[string]struct {
		build  pipe
		in     []int
		stages []oracle
	}{
		"numbers":          {flatMapBy(below), []int{3, 0, 2}, []oracle{belowOf}},
		"nothing":          {flatMapBy(below), []int{0, 0}, []oracle{belowOf}},
		"no input":         {flatMapBy(below), nil, []oracle{belowOf}},
		"a failure":        {flatMapBy(below), []int{2, 7, 1}, []oracle{belowOf}},
		"fused":            {through(mapBy(inc), flatMapBy(below), mapBy(double)), upTo(9), []oracle{incOf, belowOf, doubleOf}},
		"apart":            {through(mapBy(inc, noFuse), flatMapBy(below, noFuse), mapBy(double, noFuse)), upTo(9), []oracle{incOf, belowOf, doubleOf}},
		"twice":            {through(flatMapBy(below), flatMapBy(below)), upTo(12), []oracle{belowOf, belowOf}},
		"twice, apart":     {through(flatMapBy(below, noFuse), flatMapBy(below, noFuse)), upTo(12), []oracle{belowOf, belowOf}},
		"a filter behind":  {through(flatMapBy(below), filterBy(not3), mapBy(inc)), upTo(9), []oracle{belowOf, filtered(keepNot3), incOf}},
		"a filter, apart":  {through(flatMapBy(below, noFuse), filterBy(not3, noFuse), mapBy(inc)), upTo(9), []oracle{belowOf, filtered(keepNot3), incOf}},
		"a filter before":  {through(filterBy(even), flatMapBy(below)), upTo(9), []oracle{filtered(isEven), belowOf}},
		"retries":          {through(flatMapBy(below, executor.Retries(1))), upTo(9), []oracle{belowOf}},
		"retries behind":   {through(flatMapBy(below), filterBy(not3, executor.Retries(2))), upTo(9), []oracle{belowOf, filtered(keepNot3)}},
		"a bound of 1":     {through(flatMapBy(below, executor.MaxSize(1)), mapBy(inc, executor.MaxSize(2))), upTo(9), []oracle{belowOf, incOf}},
		"large":            {flatMapBy(below), []int{1, 100, 2, 300, 65, 64}, []oracle{belowOf}},
		"large and mapped": {through(flatMapBy(below), mapBy(inc)), []int{1, 100, 2, 300, 65, 64}, []oracle{belowOf, incOf}},
		"large, apart":     {through(flatMapBy(below, noFuse), mapBy(inc, noFuse)), []int{1, 100, 2, 300, 65, 64}, []oracle{belowOf, incOf}},
		"large twice":      {through(flatMapBy(below), flatMapBy(below)), []int{90, 0, 100, 7, 70}, []oracle{belowOf, belowOf}},
		"large, retries":   {through(flatMapBy(below), filterBy(not3, executor.Retries(2)), mapBy(inc)), []int{90, 0, 100, 7, 70}, []oracle{belowOf, filtered(keepNot3), incOf}},
		"large, bounded":   {through(flatMapBy(below, executor.MaxSize(5)), mapBy(inc)), []int{90, 0, 100, 7, 70}, []oracle{belowOf, incOf}},
		"large, filtered":  {through(flatMapBy(below), filterBy(even), filterBy(none)), []int{90, 0, 100, 7, 70}, []oracle{belowOf, filtered(isEven), filtered(func(context.Context, int) (bool, error) { return false, nil })}},
	} {
		for mode, opts := range map[string][]bridge.GatherOption{"": nil, " by hand": {bridge.ManualAck()}} {
			t.Run(name+mode, func(t *testing.T) {
				dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
					f.StartWorker(all, workers.Functions(below))
					want := expected(c.in, c.stages...)
					if got := gathered(t, f, c.build, c.in, opts...); !slices.Equal(got, want) {
						t.Errorf("got  %.2000q\nwant %.2000q", got, want)
					}
				})
			})
		}
	}
}

func TestFlatMapOfTexts(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(words))
		lines, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]string{"a b", "", "c"}))
		if err != nil {
			t.Fatal(err)
		}
		out, err := flow.FlatMap(t.Context(), words, lines)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for w, err := range bridge.All(t.Context(), out) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, w)
		}
		if want := []string{"a", "b", "c"}; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

// A large group is divided among the workers, at every level, while each of them dies behind some items.
func TestLargeGroupsSurviveWorkers(t *testing.T) {
	for name, c := range map[string]struct {
		build  pipe
		in     []int
		stages []oracle
	}{
		"one level":       {through(flatMapBy(hundred), mapBy(inc)), upTo(5), []oracle{hundredOf, incOf}},
		"two levels":      {through(flatMapBy(hundred), flatMapBy(hundred)), upTo(1), []oracle{hundredOf, hundredOf}},
		"two and filters": {through(flatMapBy(hundred), filterBy(even), flatMapBy(below), filterBy(not3)), upTo(2), []oracle{hundredOf, filtered(isEven), belowOf, filtered(keepNot3)}},
	} {
		t.Run(name, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				functions := workers.Functions(hundred, below, inc, even, not3)
				for i := range 4 {
					f.StartWorker(functions).KillAfter(50 + 150*i)
				}
				f.StartWorker(functions)
				want := expected(c.in, c.stages...)
				if got := gathered(t, f, c.build, c.in); !slices.Equal(got, want) {
					t.Errorf("%d results, want %d", len(got), len(want))
				}
			})
		})
	}
}

// A gather dies within the outputs for an input, small and large ones, in order or by hand. Its successor
// goes on at the next output.
func TestSuccessorOfGatherGoesOnWithinGroup(t *testing.T) {
	build := through(flatMapBy(below, executor.Name("first"), executor.NoFuse()), flatMapBy(below, executor.Name("out"), executor.NoFuse()))
	in := []int{3, 20, 90, 4, 0, 70, 2}
	want := expected(in, belowOf, belowOf)
	for name, opts := range map[string][]bridge.GatherOption{"in order": nil, "by hand": {bridge.ManualAck()}} {
		for _, taken := range []int{1, 2, 100, 1234, len(want) - 1} {
			t.Run(fmt.Sprint(name, " after ", taken), func(t *testing.T) {
				dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
					f.StartWorker(workers.Functions(below))
					ex, _ := f.StartExecutor()
					q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(in), bridge.Name("in"))
					if err != nil {
						t.Fatal(err)
					}
					if _, err := build(t.Context(), q); err != nil {
						t.Fatal(err)
					}
					if err := q.Seal(t.Context()); err != nil {
						t.Fatal(err)
					}
					first, process := f.StartExecutor()
					got := gatherSome(t, first, taken, opts...)
					<-time.After(time.Second) // the acknowledgements are written
					process.Kill()
					got = append(got, gatherSome(t, ex, len(want)+1, append(opts, bridge.Wait())...)...)
					if !slices.Equal(got, want) {
						t.Errorf("%d results, want %d", len(got), len(want))
					}
					for _, queue := range []string{"in", "first", "out"} {
						if inputs := inputsOf(t, ex, queue); queue == "first" && inputs != len(in) {
							t.Errorf("queue %s has %d inputs", queue, inputs)
						}
					}
					for _, queue := range []string{"in", "first", "out"} {
						if err := ex.Delete(t.Context(), queue); err != nil {
							t.Error(err)
						}
					}
				})
			})
		}
	}
}

// Both branches of a multiplex behind a flat map are whole and in order.
func TestMultiplexOfGroups(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(below, inc))
		in := []int{2, 100, 0, 3}
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(in))
		if err != nil {
			t.Fatal(err)
		}
		out, err := flow.FlatMap(t.Context(), below, q)
		if err != nil {
			t.Fatal(err)
		}
		branches, err := executor.Multiplex(t.Context(), 2, out)
		if err != nil {
			t.Fatal(err)
		}
		mapped, err := executor.Map(t.Context(), inc, branches[1])
		if err != nil {
			t.Fatal(err)
		}
		for i, q := range []*executor.Queue[int]{branches[0], mapped} {
			results, err := bridge.Gather(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for r := range results {
				got = append(got, resultOf(r))
			}
			if want := expected(in, belowOf, []oracle{mapped1, incOf}[i]); !slices.Equal(got, want) {
				t.Errorf("branch %d: got %q", i, got)
			}
		}
	})
}

var mapped1 = mapped(func(x int) int { return x })

// The outputs for one input are bounded. The next input is not concerned.
func TestOutputsOfOneInputAreBounded(t *testing.T) {
	megabytes := workers.DefineFlatMap("megabytes", func(_ context.Context, n int, yield func(string)) error {
		text := strings.Repeat("x", 1<<20)
		for range n {
			yield(text)
		}
		return nil
	})
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(megabytes))
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{65, 2}))
		if err != nil {
			t.Fatal(err)
		}
		out, err := flow.FlatMap(t.Context(), megabytes, q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for text, err := range bridge.All(t.Context(), out) {
			var item *executor.ItemError
			switch {
			case errors.As(err, &item):
				got = append(got, item.Code)
			case err != nil:
				t.Fatal(err)
			default:
				got = append(got, fmt.Sprint(len(text)))
			}
		}
		if want := []string{"toolarge", "1048576", "1048576"}; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

// Map2 pairs outputs, not inputs.
func TestMap2OfOutputs(t *testing.T) {
	pair := workers.Define2("pair", func(_ context.Context, a, b int) (int, error) { return 10*a + b, nil })
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(below, pair))
		var queues []*executor.Queue[int]
		for _, in := range [][]int{{2, 1}, {1, 2, 3}} {
			q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(in))
			if err != nil {
				t.Fatal(err)
			}
			queues = append(queues, q)
		}
		outs, err := flow.FlatMap(t.Context(), below, queues[0])
		if err != nil {
			t.Fatal(err)
		}
		pairs, err := executor.Map2(t.Context(), pair, outs, queues[1])
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for x, err := range bridge.All(t.Context(), pairs) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, x)
		}
		if want := []int{1, 12, 3}; !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
}
