package flow_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

var (
	inc    = workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	same   = workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil })
	double = workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	even   = workers.DefineFilter("even", isEven)
	none   = workers.DefineFilter("none", func(context.Context, int) (bool, error) { return false, nil })
	not3   = workers.DefineFilter("not3", keepNot3)
	sums   = workers.DefineBatch("sums", func(_ context.Context, xs []int) ([]string, error) {
		texts := make([]string, len(xs))
		for i, x := range xs {
			texts[i] = strconv.Itoa(x)
		}
		return texts, nil
	})
)

func isEven(_ context.Context, x int) (bool, error) { return x%2 == 0, nil }

func keepNot3(_ context.Context, x int) (bool, error) {
	if x == 3 {
		return false, errors.New("three is not for me")
	}
	return x != 1 && x != 5, nil
}

// pipe makes the stages of a case.
type pipe = func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error)

func filterBy(f workers.Predicate[int], opts ...executor.MapOption) pipe {
	return func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
		return flow.Filter(ctx, f, q, opts...)
	}
}

func through(stages ...pipe) pipe {
	return func(ctx context.Context, q *executor.Queue[int]) (_ *executor.Queue[int], err error) {
		for _, stage := range stages {
			if q, err = stage(ctx, q); err != nil {
				return nil, err
			}
		}
		return q, nil
	}
}

func mapBy(f workers.Func[int, int], opts ...executor.MapOption) pipe {
	return func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
		return executor.Map(ctx, f, q, opts...)
	}
}

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// resultOf describes a result, with the offset of its input.
func resultOf(r bridge.Result[int]) string {
	if r.Err != nil {
		var item *executor.ItemError
		if !errors.As(r.Err, &item) || item.Offset != r.Offset() {
			return r.Err.Error()
		}
		return fmt.Sprintf("%d:err", r.Offset())
	}
	return fmt.Sprintf("%d:%d", r.Offset(), r.Value)
}

// gathered runs a case in a fleet and returns its results.
func gathered(t *testing.T, f *dqtest.Fleet, build pipe, in []int, opts ...bridge.GatherOption) (got []string) {
	t.Helper()
	ex, _ := f.StartExecutor()
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(in))
	if err != nil {
		t.Fatal(err)
	}
	out, err := build(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	results, err := bridge.Gather(t.Context(), out, opts...)
	if err != nil {
		t.Fatal(err)
	}
	for r := range results {
		got = append(got, resultOf(r))
		r.Ack()
	}
	return got
}

var all = workers.Functions(inc, same, double, even, none, not3)

func TestFilter(t *testing.T) {
	for name, c := range map[string]struct {
		build pipe
		in    []int
		want  []string
	}{
		"even":         {filterBy(even), upTo(10), []string{"0:0", "2:2", "4:4", "6:6", "8:8"}},
		"none":         {filterBy(none), upTo(10), nil},
		"no input":     {filterBy(even), nil, nil},
		"a failure":    {filterBy(not3), upTo(6), []string{"0:0", "2:2", "3:err", "4:4"}},
		"fused":        {through(mapBy(inc), filterBy(even), mapBy(double)), upTo(10), []string{"1:4", "3:8", "5:12", "7:16", "9:20"}},
		"apart":        {through(mapBy(inc, executor.NoFuse()), filterBy(even, executor.NoFuse()), mapBy(double, executor.NoFuse())), upTo(10), []string{"1:4", "3:8", "5:12", "7:16", "9:20"}},
		"two":          {through(filterBy(not3), filterBy(even, executor.NoFuse()), mapBy(inc)), upTo(8), []string{"0:1", "2:3", "3:err", "4:5", "6:7"}},
		"retries":      {through(filterBy(not3, executor.Retries(2)), mapBy(inc, executor.Retries(1))), upTo(6), []string{"0:1", "2:3", "3:err", "4:5"}},
		"a bound of 1": {through(filterBy(even, executor.MaxSize(1)), mapBy(inc, executor.MaxSize(2))), upTo(9), []string{"0:1", "2:3", "4:5", "6:7", "8:9"}},
	} {
		for mode, opts := range map[string][]bridge.GatherOption{"": nil, " by hand": {bridge.ManualAck()}} {
			t.Run(name+mode, func(t *testing.T) {
				dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
					f.StartWorker(all)
					if got := gathered(t, f, c.build, c.in, opts...); !slices.Equal(got, c.want) {
						t.Errorf("got %q, want %q", got, c.want)
					}
				})
			})
		}
	}
}

// TestFilterOfManyItems compares flows over batches of any size with a loop.
func TestFilterOfManyItems(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	in := make([]int, 3_000)
	for i := range in {
		in[i] = random.IntN(1000)
	}
	var want []string
	for i, x := range in {
		if x+1 == 3 {
			want = append(want, fmt.Sprintf("%d:err", i))
		} else if y := 2 * (x + 1); (x+1)%2 == 0 && x+1 != 1 && x+1 != 5 {
			want = append(want, fmt.Sprintf("%d:%d", i, y))
		}
	}
	for name, noFuse := range map[string][]executor.MapOption{"fused": nil, "apart": {executor.NoFuse()}} {
		t.Run(name, func(t *testing.T) {
			build := through(mapBy(inc, noFuse...), filterBy(not3, noFuse...), filterBy(even, noFuse...), mapBy(double, noFuse...))
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				for range 3 {
					f.StartWorker(all).KillAfter(900)
				}
				f.StartWorker(all)
				if got := gathered(t, f, build, in); !slices.Equal(got, want) {
					t.Errorf("%d results, want %d", len(got), len(want))
				}
			})
		})
	}
}

// A batch function behind a filter, and two branches of which one is filtered.
func TestFilterBesideOtherStages(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(even, sums, inc))
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(7)))
		if err != nil {
			t.Fatal(err)
		}
		branches, err := executor.Multiplex(t.Context(), 2, q)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := flow.Filter(t.Context(), even, branches[0])
		if err != nil {
			t.Fatal(err)
		}
		pair := workers.Define2("pair", func(_ context.Context, a, b int) (int, error) { return a + b, nil })
		if _, err := executor.Map2(t.Context(), pair, kept, branches[1]); !errors.Is(err, executor.ErrTypeMismatch) {
			t.Errorf("Map2 of a branch and of another one that is filtered: %v", err)
		}
		for _, err := range executor.Futures(t.Context(), kept) {
			if !errors.Is(err, executor.ErrTypeMismatch) {
				t.Errorf("futures behind a filter: %v", err)
			}
		}
		texts, err := executor.Map(t.Context(), sums, kept)
		if err != nil {
			t.Fatal(err)
		}
		merged, err := executor.Merge(t.Context(), branches[1])
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for text, err := range bridge.All(t.Context(), texts) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, text)
		}
		for x, err := range bridge.All(t.Context(), merged) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, strconv.Itoa(x))
		}
		if want := []string{"0", "2", "4", "6", "0", "1", "2", "3", "4", "5", "6"}; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

// The window of a source counts its inputs, those without an item too: they are delivered like others,
// and a flow of many windows ends.
func TestWindowMovesOverInputsWithoutItems(t *testing.T) {
	for name, f := range map[string]workers.Predicate[int]{"none": none, "even": even} {
		for mode, opts := range map[string][]bridge.GatherOption{"": nil, " by hand": {bridge.ManualAck()}} {
			t.Run(name+mode, func(t *testing.T) {
				dqtest.Run(t, func(t *testing.T, fleet *dqtest.Fleet) {
					ex, _ := fleet.StartExecutor()
					fleet.StartWorker(all)
					q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(2001)), bridge.MaxInFlight(5))
					if err != nil {
						t.Fatal(err)
					}
					out, err := filterBy(f)(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					results, err := bridge.Gather(t.Context(), out, opts...)
					if err != nil {
						t.Fatal(err)
					}
					n := 0
					for r := range results {
						r.Ack()
						n++
					}
					if want := map[string]int{"none": 0, "even": 1001}[name]; n != want {
						t.Errorf("%d results, want %d", n, want)
					}
				})
			})
		}
	}
}

// A gather dies behind some of its results, in order or by hand: its successor delivers the others, each
// once, also behind inputs without an item. The window of the source counts inputs, so that the
// producer has not stored them all.
func TestSuccessorOfGatherGoesOnBehindFilter(t *testing.T) {
	for name, opts := range map[string][]bridge.GatherOption{"in order": nil, "by hand": {bridge.ManualAck()}} {
		t.Run(name, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				f.StartWorker(all)
				ex, _ := f.StartExecutor()
				const n, taken, window = 3000, 137, 500
				q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(n)), bridge.Name("in"), bridge.MaxInFlight(window))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := through(filterBy(not3, executor.Name("some")), filterBy(even, executor.Name("out")))(t.Context(), q); err != nil {
					t.Fatal(err)
				}
				if err := q.Seal(t.Context()); err != nil {
					t.Fatal(err)
				}
				first, process := f.StartExecutor()
				got := gatherSome(t, first, taken, opts...)
				testkit.Eventually(t, func() bool { return deliveredOf(t, ex) == 2*taken-3 }, "the mark is stored")
				if in := inputsOf(t, ex, "out"); in < 2*taken || in > 2*taken+2*window {
					t.Errorf("the queue has accounted for %d inputs", in)
				}
				process.Kill()
				got = append(got, gatherSome(t, ex, n, append(opts, bridge.Wait())...)...)
				want := []string{"0:0", "2:2", "3:err"}
				for x := 4; x < n; x += 2 {
					want = append(want, fmt.Sprintf("%d:%d", x, x))
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d results, want %d: %.300q", len(got), len(want), got)
				}
				if err := ex.Delete(t.Context(), "in"); err != nil {
					t.Error(err)
				}
				for _, queue := range []string{"some", "out"} {
					if err := ex.Delete(t.Context(), queue); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// gatherSome takes at most n results of the queue "out", and acknowledges them.
func gatherSome(t *testing.T, ex *executor.Executor, n int, opts ...bridge.GatherOption) (got []string) {
	t.Helper()
	q, err := executor.Open[int](t.Context(), ex, "out")
	if err != nil {
		t.Fatal(err)
	}
	results, err := bridge.Gather(t.Context(), q, append(opts, bridge.Buffer(0))...)
	if err != nil {
		t.Fatal(err)
	}
	for r := range results {
		got = append(got, resultOf(r))
		if r.Ack(); len(got) == n {
			break
		}
	}
	return got
}

// deliveredOf returns the offset up to which the only source is delivered.
func deliveredOf(t *testing.T, ex *executor.Executor) int64 {
	t.Helper()
	s, err := ex.Snapshot(t.Context())
	if err != nil || len(s.Sources) != 1 {
		t.Fatal(s.Sources, err)
	}
	return s.Sources[0].Delivered
}

func inputsOf(t *testing.T, ex *executor.Executor, name string) int {
	t.Helper()
	queues, err := ex.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queues {
		if q.Name == name {
			return int(q.Inputs)
		}
	}
	return -1
}
