package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

type brokenError struct{ text *string }

func (e brokenError) Error() string { return *e.text }

func explode(_ context.Context, x int) (int, error) {
	return []int{1}[x], nil
}

func TestTextsOfFailures(t *testing.T) {
	returning := func(err error) *Function {
		return define("f", func(context.Context, int) (int, error) { return 0, err })
	}
	for want, f := range map[string]*Function{
		"the item is not int (json), which the function takes: look at": define("f", func(context.Context, int) (int, error) { return 0, nil }),
		"the result cannot be encoded as any (json): return what": define("f", func(context.Context, string) (any, error) {
			return func() {}, nil
		}),
		"why":                                   returning(errors.New("why")),
		"an error without a text, of type *err": returning(errors.New("")),
		"PANIC":                                 returning(brokenError{}),
		"panic: what":                           define("f", func(context.Context, string) (any, error) { panic("what") }),
		"panic: panic called with nil argument": define("f", func(context.Context, string) (any, error) { panic(nil) }),
		"runtime.Goexit, as FailNow of a test does: return an error instead": define("f", func(context.Context, string) (any, error) {
			runtime.Goexit()
			return nil, nil
		}),
	} {
		item := "1"
		if strings.HasPrefix(want, "the item") {
			item = `"text"`
		}
		wantText(t, failureOf(t, runOf(t, f, Call{}, item)).Message, want)
	}
}

func TestStackBeginsAtThePanic(t *testing.T) {
	f := failureOf(t, runOf(t, define("f", explode), Call{}, "5"))
	wantText(t, f.Message, "panic: runtime error: index out of range [5] with length 1")
	frames, _, _ := strings.Cut(f.Stack, "runner.(*itemRunner")
	if len(strings.Split(frames, "\n")) > 5 || !strings.Contains(frames, "runner.explode(") || !strings.Contains(frames, "itemrunner_test.go:") {
		t.Errorf("the stack is\n%s", f.Stack)
	}
	deep := define("f", func(_ context.Context, x int) (int, error) {
		var down func(int) int
		down = func(n int) int {
			if n == 0 {
				panic("deep")
			}
			return 1 + down(n-1)
		}
		return down(x), nil
	})
	if f := failureOf(t, runOf(t, deep, Call{}, "500")); len(f.Stack) < 8<<10 || len(f.Stack) > 8<<10+3 {
		t.Errorf("a stack of %d bytes", len(f.Stack))
	}
}

func TestLongTextsAreCut(t *testing.T) {
	f := define("f", func(context.Context, int) (int, error) { return 0, errors.New(strings.Repeat("x", 1<<20)) })
	if got := failureOf(t, runOf(t, f, Call{}, "1")).Message; len(got) > 5<<10 || !strings.HasSuffix(got, "xxx...") {
		t.Errorf("%d bytes", len(got))
	}
}

func TestTooLargeResult(t *testing.T) {
	f := define("f", func(_ context.Context, x int) (string, error) { return strings.Repeat("x", x), nil })
	r := runOf(t, f, Call{Retries: 3}, fmt.Sprint(batch.MaxItem+1), "1")
	wantOutcomes(t, r, "toolarge after 1", "x")
	wantText(t, failureOf(t, r).Message, "67108865 bytes", "64 MiB", "return it in parts")
	if cap(r.Frame) > 4096 {
		t.Errorf("%d bytes are kept", cap(r.Frame))
	}
}

func TestFullOutputIsLeftOff(t *testing.T) {
	calls := 0
	f := define("f", func(_ context.Context, x int) (string, error) {
		calls++
		return strings.Repeat("x", x<<20), nil
	})
	if r := runOf(t, f, Call{}, "3", "3", "3", "3", "3"); r.N != 3 || calls != 3 {
		t.Errorf("%d items after %d calls", r.N, calls)
	}
	lost := batch.Batch{N: batch.MaxItems, Lost: &batch.Failure{Code: batch.CodeLost, Message: strings.Repeat("x", 1<<20)}}
	for _, f := range []*Function{f, defineBatch("f", plusOnes)} {
		r := f.New().Run(t.Context(), Call{Batch: lost})
		if r.N != 8 || r.Failed != 0 || r.Err != nil {
			t.Errorf("%d items, %d failures, %v", r.N, r.Failed, r.Err)
		}
	}
}

func TestLostAndMalformedBatches(t *testing.T) {
	gone := &batch.Failure{Code: batch.CodeLost, Message: "gone"}
	one := []byte("\x01\x021")
	for _, f := range []*Function{define("inc", plusOne), defineBatch("inc", plusOnes)} {
		runner := f.New()
		r := runner.Run(t.Context(), Call{Batch: batch.Batch{First: 7, N: 3, Lost: gone}})
		if failure := string(gone.Append(nil)); strings.Count(string(r.Frame), failure) != 3 || r.N != 3 || r.Failed != 0 {
			t.Errorf("got %+v", r)
		}
		for _, b := range []batch.Batch{
			{}, {N: 2, Frame: one}, {N: -1, Frame: one}, {N: 1, First: -1, Frame: one}, {N: 1, First: 1<<63 - 1, Frame: one},
			{N: 1, Frame: []byte("\x02\x021")}, {N: 2, Frame: []byte("\x01\x021\x04")},
			{N: 1, Frame: []byte("\x01\x021\x04")}, {N: 1}, {N: 0, Lost: gone},
		} {
			if r := runner.Run(t.Context(), Call{Batch: b}); !errors.Is(r.Err, batch.ErrFrame) || r.N != 0 || r.Frame != nil {
				t.Errorf("%+v: got %+v", b, r)
			}
		}
		if r := runner.Run(t.Context(), Call{Batch: batch.Batch{N: 1, Frame: one}}); string(r.Frame) != "\x01\x022" {
			t.Errorf("got %+v", r)
		}
	}
}

func TestEndedContextCallsNothing(t *testing.T) {
	var b batch.Builder
	b.EndFailure(append(b.Begin(), "failure 0"...))
	b.Value([]byte("1"))
	two := batch.Batch{N: 2, Frame: b.Take()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f := range []*Function{define[int, int]("f", explode), defineBatch("f", plusOnes)} {
		r := f.New().Run(ctx, Call{Batch: two})
		wantOutcomes(t, r, "failure 0")
	}
}

func TestStop(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "[1 2]"},
		{errors.New("stopped"), "[1]"}, // its last attempt, and yet not done
	} {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		f := func(_ context.Context, x int) (int, error) {
			if calls++; x == 2 {
				cancel()
				return x, c.err
			}
			return x, nil
		}
		three := batch.Batch{N: 3, Frame: []byte("\x01\x021\x022\x023")}
		r := define("f", f).New().Run(ctx, Call{Batch: three})
		if got := outcomes(t, batch.Batch{N: r.N, Frame: r.Frame}); fmt.Sprint(got) != c.want || calls != 2 || r.Failed != 0 {
			t.Errorf("got %v after %d calls, want %s", got, calls, c.want)
		}
	}
	for want, returned := range map[string]error{"[]": errors.New("stopped"), "[1]": Failed{1: errors.New("stopped")}, "[1 2 3]": nil} {
		ctx, cancel := context.WithCancel(t.Context())
		f := func(_ context.Context, xs []int) ([]int, error) {
			cancel()
			return xs, returned
		}
		three := batch.Batch{N: 3, Frame: []byte("\x01\x021\x022\x023")}
		r := defineBatch("f", f).New().Run(ctx, Call{Batch: three})
		if got := outcomesOrNone(t, r); fmt.Sprint(got) != want || r.Failed != 0 {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

// outcomesOrNone also accepts a result without items.
func outcomesOrNone(t *testing.T, r Result) []string {
	t.Helper()
	if r.N == 0 && r.Frame == nil {
		return nil
	}
	return outcomes(t, batch.Batch{N: r.N, Frame: r.Frame})
}

// A failed item is marked for a retry by its index, as long as attempts are left.
func TestWhatIsTriedAgain(t *testing.T) {
	odd := func(_ context.Context, x int) (int, error) {
		switch {
		case x == 9:
			return 0, fmt.Errorf("wrapped: %w", &Permanent{errors.New("nine")})
		case x%2 == 1:
			panic("odd")
		}
		return x, nil
	}
	odds := func(ctx context.Context, xs []int) ([]int, error) {
		errs := Failed{}
		for i, x := range xs {
			if x%2 == 1 {
				errs[i] = errors.New("odd")
			}
			if x == 9 {
				errs[i] = &Permanent{errs[i]}
			}
		}
		return xs, errs
	}
	for _, f := range []*Function{define("f", odd), defineBatch("f", odds)} {
		r := runOf(t, f, Call{Attempt: 2, Retries: 2}, "2", "3", "4", "5", "9", "x")
		if r.N != 6 || fmt.Sprint(r.Again) != "[1 3]" || r.Failed != 2 {
			t.Errorf("%d items, %v again, %d failed", r.N, r.Again, r.Failed)
		}
		if r = runOf(t, f, Call{Attempt: 3, Retries: 2}, "2", "3", "9"); r.Again != nil || r.Failed != 2 {
			t.Errorf("%v again, %d failed", r.Again, r.Failed)
		}
	}
}

// quitter ends the goroutine that encodes or decodes it, except for 0.
type quitter int

func (q quitter) MarshalJSON() ([]byte, error) {
	if q != 0 {
		runtime.Goexit()
	}
	return []byte("0"), nil
}

func (*quitter) UnmarshalJSON([]byte) error {
	runtime.Goexit()
	return nil
}

func TestGoexitInCodecs(t *testing.T) {
	from := func(context.Context, quitter) (int, error) { return 1, nil }
	froms := func(_ context.Context, xs []quitter) ([]int, error) { return make([]int, len(xs)), nil }
	for _, f := range []*Function{define("f", from), defineBatch("f", froms)} {
		wantOutcomes(t, runOf(t, f, Call{Attempt: 2, Retries: 1}, "{}", "1"), "decode after 0", "decode after 0")
	}
	var frame batch.Builder
	frame.EndFailure(append(frame.Begin(), "failure"...))
	frame.Value([]byte("1"))
	spoiled := input[int]{batch: batch.Batch{N: 2, Frame: frame.Take()}}
	spoiled.failAll(2, &attemptError{})
	if h, ok := spoiled.failureAt(0); !ok || string(h.failure) != "failure" {
		t.Errorf("got %+v", h)
	}
	into := func(context.Context, int) (any, error) { return quitter(1), nil }
	wantOutcomes(t, runOf(t, define("f", into), Call{Attempt: 2, Retries: 1}, "1"), "panic after 2")
	intos := func(context.Context, []int) ([]any, error) { return []any{1, quitter(1), 2}, nil }
	wantOutcomes(t, runOf(t, defineBatch("f", intos), Call{Retries: 1}, "1", "2", "3"), "1", "encode after 1", "2")
}

func ptrs(t *testing.T) codec.Typed[*string] {
	t.Helper()
	typed, err := codec.For[*string](nil)
	if err != nil {
		t.Fatal(err)
	}
	return typed
}

func TestNothingOfTheUserIsKept(t *testing.T) {
	single := newItemRunner("f", func(_ context.Context, s *string) (*string, error) { return s, nil }, ptrs(t), ptrs(t))
	many := newBatchRunner("f", func(_ context.Context, s []*string) ([]*string, error) { return s, nil }, ptrs(t), ptrs(t))
	items := repeated(100, `"text"`)
	for _, r := range []Runner{single, many} {
		r.Run(t.Context(), Call{Batch: items})
		r.Release()
	}
	for _, in := range []*input[*string]{&single.in, &many.in} {
		for i, v := range in.values[:cap(in.values)] {
			if v != nil {
				t.Fatalf("value %d is kept", i)
			}
		}
	}
	for i, p := range many.outcomes[:cap(many.outcomes)] {
		if p.value != nil {
			t.Fatalf("result %d is kept", i)
		}
	}
	many.Run(t.Context(), Call{Batch: repeated(keptItems+1, `"text"`)})
	many.Release()
	if cap(many.outcomes)+cap(many.in.values)+cap(many.todo) > 0 {
		t.Error("the memory of a very large batch is kept")
	}
}

// Failed gets each failed attempt once, whether or not another attempt follows.
func TestFailedAttemptsArePassedOn(t *testing.T) {
	t.Parallel()
	behave := func(x int) (int, error) {
		switch x {
		case 1:
			return 0, errors.New("one")
		case 2:
			panic("two")
		}
		return x, nil
	}
	each := define("f", func(_ context.Context, x int) (int, error) { return behave(x) })
	together := defineBatch("f", func(_ context.Context, xs []int) ([]int, error) {
		errs := Failed{}
		for i, x := range xs {
			if x == 2 {
				errs[i] = errors.New("panic: two")
			} else if _, err := behave(x); err != nil {
				errs[i] = err
			}
		}
		return xs, errs
	})
	for _, f := range []*Function{each, together} {
		for retries := range 2 {
			var got []string
			call := Call{Retries: retries, Failed: func(i int, f batch.Failure) {
				got = append(got, fmt.Sprintf("%d %s %d", i, f.Message, f.Attempts))
			}}
			runOf(t, f, call, "0", "1", "3", "2")
			if want := []string{"1 one 1", "3 panic: two 1"}; !slices.Equal(got, want) {
				t.Errorf("with %d retries: %q, want %q", retries, got, want)
			}
		}
	}
}
