package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A filtered is a batch as text: the items of each offset.
func filtered(t rapid.TB, b batch.Batch) (texts []string) {
	t.Helper()
	all := outcomes(t, b)
	if !batch.Counted(b.Frame) {
		return all
	}
	positions, err := b.AppendPositions(nil)
	if err != nil {
		t.Fatal(err)
	}
	texts = make([]string, b.N)
	for i, at := range positions {
		texts[at] = all[i]
	}
	return texts
}

func isOdd(_ context.Context, x int) (bool, error) {
	if x == 13 {
		return false, errors.New("thirteen")
	}
	return x%2 == 1, nil
}

type point struct{ X int }

func TestFilterKeepsItemsAsTheyAre(t *testing.T) {
	for _, c := range []struct {
		f           *Function
		items, want []string
	}{
		{DefineFilter("f", isOdd, Definition{}).Function(), []string{"1", "2", "13", "5"}, []string{"1", "", "error after 1", "5"}},
		{DefineFilter("f", isOdd, Definition{}).Function(), []string{"2", "4"}, []string{"", ""}},
		{DefineFilter("f", isOdd, Definition{}).Function(), []string{"1", "3"}, []string{"1", "3"}},
		{DefineFilter("f", isOdd, Definition{}).Function(), []string{"x", "3"}, []string{"decode after 0", "3"}},
		{
			DefineFilter("f", func(_ context.Context, s string) (bool, error) { return s != "", nil }, Definition{}).Function(),
			[]string{"a", "", "b"}, []string{"a", "", "b"},
		},
		{ // fields that point does not have stay
			DefineFilter("f", func(_ context.Context, p point) (bool, error) { return isOdd(context.Background(), p.X) }, Definition{}).Function(),
			[]string{`{"X":2}`, ` {"X":1,"y":[2]}`, `{"X":13}`, `{"X":3}`}, []string{"", ` {"X":1,"y":[2]}`, "error after 1", `{"X":3}`},
		},
	} {
		r := runOf(t, c.f, Call{}, c.items...)
		if got := filtered(t, batch.Batch{N: r.N, Frame: r.Frame}); !slices.Equal(got, c.want) || r.N != len(c.items) || r.Items != r.N {
			t.Errorf("%v became %q, %+v", c.items, got, r)
		}
	}
}

func TestFilterLeavesOutItemsToRetry(t *testing.T) {
	r := runOf(t, DefineFilter("f", isOdd, Definition{}).Function(), Call{Retries: 1}, "13", "1", "2", "13")
	if got := filtered(t, batch.Batch{N: r.N, Frame: r.Frame}); !slices.Equal(got, []string{"", "1", "", ""}) || !slices.Equal(r.Again, []int{0, 3}) {
		t.Errorf("%q, %+v", got, r)
	}
}

// incUnlessSeventh is inc, with an error for each multiple of seven.
func incUnlessSeventh(_ context.Context, x int) (int, error) {
	if x%7 == 0 {
		return 0, errors.New("seven")
	}
	return x + 1, nil
}

func incAll(ctx context.Context, xs []int) ([]int, error) {
	failed := Failed{}
	for i, x := range xs {
		made, err := incUnlessSeventh(ctx, x)
		if xs[i] = made; err != nil {
			failed[i] = err
		}
	}
	return xs, failed
}

func incIsNoThird(ctx context.Context, x int) (bool, error) {
	made, err := incUnlessSeventh(ctx, x)
	return made%3 != 0, err
}

// wantedOf is what a second function makes of an item behind a filter of odd ones.
func wantedOf(x int, second *Function) string {
	made, err := incUnlessSeventh(context.Background(), x)
	switch {
	case x%2 == 0:
		return ""
	case err != nil:
		return "error after 1"
	case second.Filter && made%3 == 0:
		return ""
	case second.Filter:
		return strconv.Itoa(x)
	}
	return strconv.Itoa(made)
}

// TestFunctionsRunOnCountedBatches: functions that run behind a filter, in one call with it or on its
// frame, and that leave off anywhere, have each item once, by its own offset.
func TestFunctionsRunOnCountedBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.IntRange(0, 30), 1, 40).Draw(t, "items")
		second := rapid.SampledFrom([]*Function{
			define("f", incUnlessSeventh), defineBatch("f", incAll), DefineFilter("f", incIsNoThird, Definition{}).Function(),
		}).Draw(t, "second")
		var b batch.Builder
		var want []string
		for _, x := range items {
			b.Value(strconv.AppendInt(nil, int64(x), 10))
			want = append(want, wantedOf(x, second))
		}
		first := DefineFilter("odd", func(_ context.Context, x int) (bool, error) { return x%2 == 1, nil }, Definition{}).Function().New()
		c := Call{Batch: batch.Batch{N: len(items), Frame: b.Take()}, Hold: rapid.Bool().Draw(t, "held"), Worker: "worker", Stage: "stage", Attempt: 1}
		made := first.Run(context.Background(), c)
		c.Batch.Frame, c.Held, c.Hold = made.Frame, made.Held, false
		if got := inPieces(t, second.New(), c, rapid.IntRange(1, 50).Draw(t, "stop"), want); !slices.Equal(got, want) {
			t.Fatalf("%v became %q, want %q", items, got, want)
		}
	})
}

// inPieces runs a call that leaves off after each stop items, and begins again behind them. An attempt
// may fail only at an offset for which a failure is wanted.
func inPieces(t *rapid.T, run Runner, c Call, stop int, want []string) (got []string) {
	calls := 0
	c.ShouldYield = func() bool { calls++; return calls%stop == 0 }
	c.Failed = func(i int, _ batch.Failure) {
		if want[len(got)+i] != "error after 1" {
			t.Fatalf("the %d-th offset failed", len(got)+i)
		}
	}
	for left := c.Batch; len(got) < len(want); c.Held = nil {
		c.Batch = left
		whole := batch.Batch{First: left.First, N: left.N, Frame: frameOf(left, c.Held)}
		r := run.Run(context.Background(), c)
		if n, err := whole.ItemsIn(0, r.N); r.Err != nil || r.N == 0 || n != r.Items || err != nil {
			t.Fatalf("%+v, and not %d items, %v", r, n, err)
		}
		got = append(got, filtered(t, batch.Batch{N: r.N, Frame: r.Frame})...)
		if r.N < left.N {
			_, left, _ = whole.Split(r.N)
		}
	}
	return got
}

func frameOf(b batch.Batch, held Held) []byte {
	if held != nil {
		return held.Encode(0, b.N, nil)
	}
	return b.Frame
}

// An item behind a filter has the offset of the input, in logs, in middleware and for cancelation.
func TestItemsOfCountedBatchesHaveTheirOffsets(t *testing.T) {
	b := batch.Batch{Source: "s", First: 100, N: 5, Frame: batch.AppendCounts(repeated(2, "7").Frame, []int32{1, 4}, 0, 5)}
	for _, f := range []*Function{define("inc", plusOne), defineBatch("inc", plusOnes)} {
		p := &spans{}
		var items []int64
		handler, err := Chain([]Middleware{func(next Handler) (Handler, error) {
			return func(ctx context.Context, in Invocation) error {
				items = append(items, in.Item.Offset)
				return next(ctx, in)
			}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		r := f.New().Run(t.Context(), Call{Batch: b, Progress: p, Handler: handler, Attempt: 1})
		if r.N != 5 || r.Items != 2 || items[0] != 101 || !f.Whole && (!slices.Equal(items, []int64{101, 104}) || fmt.Sprint(p.at) != "[1+1 4+1]") {
			t.Errorf("%+v, calls for %v, spans %v", r, items, p.at)
		}
	}
	if r := define("inc", plusOne).New().Run(t.Context(), Call{Batch: batch.Batch{N: 1, Frame: batch.AppendCounts(repeated(2, "7").Frame, []int32{0, 0}, 0, 1)}, Attempt: 1}); r.N != 1 || r.Items != 2 || len(repeated(2, "8").Frame) != len(r.Frame)-5 {
		t.Errorf("a group of items: %+v", r)
	}
}

// spans notes where the function was.
type spans struct {
	Progress
	at []string
}

func (*spans) Follow(Positioner) {}

func (s *spans) Span(i, n int) { s.at = append(s.at, fmt.Sprint(i, "+", n)) }

func TestFilterDoesNotAllocateForEachItem(t *testing.T) {
	const n = 1024
	r := DefineFilter("odd", isOdd, Definition{}).Function().New()
	var b batch.Builder
	for i := range n {
		b.Value(strconv.AppendInt(nil, int64(i), 10))
	}
	c := Call{Batch: batch.Batch{N: n, Frame: []byte(strings.Replace(string(b.Take()), "13", "15", 1))}}
	r.Run(t.Context(), c)
	if allocs := testing.AllocsPerRun(20, func() { r.Run(t.Context(), c) }); allocs > 20 {
		t.Errorf("%v allocations in a batch of %d items", allocs, n)
	}
}
