package workers

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

type brokenError struct{ text *string }

func (e brokenError) Error() string { return *e.text }

func explode(_ context.Context, x int) (int, error) {
	return []int{1}[x], nil
}

func TestTextsOfFailures(t *testing.T) {
	returning := func(err error) Function {
		return Define("f", func(context.Context, int) (int, error) { return 0, err })
	}
	for want, f := range map[string]Function{
		"the item is not int (json), which the function takes: look at": Define("f", func(context.Context, int) (int, error) { return 0, nil }),
		"the result cannot be encoded as any (json): return what": Define("f", func(context.Context, string) (any, error) {
			return func() {}, nil
		}),
		"why":                                   returning(errors.New("why")),
		"an error without a text, of type *err": returning(errors.New("")),
		"PANIC":                                 returning(brokenError{}),
		"panic: what":                           Define("f", func(context.Context, string) (any, error) { panic("what") }),
		"panic: panic called with nil argument": Define("f", func(context.Context, string) (any, error) { panic(nil) }),
		"runtime.Goexit, as FailNow of a test does: return an error instead": Define("f", func(context.Context, string) (any, error) {
			runtime.Goexit()
			return nil, nil
		}),
	} {
		item := "1"
		if strings.HasPrefix(want, "the item") {
			item = `"text"`
		}
		wantText(t, failureOf(t, runOf(t, f, call{}, item)).Message, want)
	}
}

func TestStackBeginsAtThePanic(t *testing.T) {
	f := failureOf(t, runOf(t, Define("f", explode), call{}, "5"))
	wantText(t, f.Message, "panic: runtime error: index out of range [5] with length 1")
	frames, _, _ := strings.Cut(f.Stack, "workers.(*itemRunner")
	if len(strings.Split(frames, "\n")) > 5 || !strings.Contains(frames, "workers.explode(") || !strings.Contains(frames, "call_test.go:") {
		t.Errorf("the stack is\n%s", f.Stack)
	}
	deep := Define("f", func(_ context.Context, x int) (int, error) {
		var down func(int) int
		down = func(n int) int {
			if n == 0 {
				panic("deep")
			}
			return 1 + down(n-1)
		}
		return down(x), nil
	})
	if f := failureOf(t, runOf(t, deep, call{}, "500")); len(f.Stack) < 8<<10 || len(f.Stack) > 8<<10+3 {
		t.Errorf("a stack of %d bytes", len(f.Stack))
	}
}

func TestLongTextsAreCut(t *testing.T) {
	f := Define("f", func(context.Context, int) (int, error) { return 0, errors.New(strings.Repeat("x", 1<<20)) })
	if got := failureOf(t, runOf(t, f, call{}, "1")).Message; len(got) > 5<<10 || !strings.HasSuffix(got, "xxx...") {
		t.Errorf("%d bytes", len(got))
	}
}

func TestTooLargeResult(t *testing.T) {
	f := Define("f", func(_ context.Context, x int) (string, error) { return strings.Repeat("x", x), nil })
	r := runOf(t, f, call{retries: 3}, fmt.Sprint(batch.MaxItem+1), "1")
	wantOutcomes(t, r, "toolarge after 1", "x")
	wantText(t, failureOf(t, r).Message, "67108865 bytes", "64 MiB", "return it in parts")
	if cap(r.frame) > 4096 {
		t.Errorf("%d bytes are kept", cap(r.frame))
	}
}

func TestFullOutputIsLeftOff(t *testing.T) {
	calls := 0
	f := Define("f", func(_ context.Context, x int) (string, error) {
		calls++
		return strings.Repeat("x", x<<20), nil
	})
	if r := runOf(t, f, call{}, "3", "3", "3", "3", "3"); r.n != 3 || calls != 3 {
		t.Errorf("%d items after %d calls", r.n, calls)
	}
	lost := batch.Batch{N: batch.MaxItems, Lost: &batch.Failure{Code: batch.CodeLost, Message: strings.Repeat("x", 1<<20)}}
	for _, f := range []Function{f, DefineBatch("f", plusOnes)} {
		r := f.function().runner().run(t.Context(), call{batch: lost})
		if r.n != 8 || r.failed != 0 || r.err != nil {
			t.Errorf("%d items, %d failures, %v", r.n, r.failed, r.err)
		}
	}
}

func TestLostAndMalformedBatches(t *testing.T) {
	gone := &batch.Failure{Code: batch.CodeLost, Message: "gone"}
	one := []byte("\x01\x021")
	for _, f := range []Function{Define("inc", plusOne), DefineBatch("inc", plusOnes)} {
		runner := f.function().runner()
		r := runner.run(t.Context(), call{batch: batch.Batch{First: 7, N: 3, Lost: gone}})
		if failure := string(gone.Append(nil)); strings.Count(string(r.frame), failure) != 3 || r.n != 3 || r.failed != 0 {
			t.Errorf("got %+v", r)
		}
		for _, b := range []batch.Batch{
			{}, {N: 2, Frame: one}, {N: -1, Frame: one}, {N: 1, First: -1, Frame: one}, {N: 1, First: 1<<63 - 1, Frame: one},
			{N: 1, Frame: []byte("\x02\x021")}, {N: 2, Frame: []byte("\x01\x021\x04")},
			{N: 1, Frame: []byte("\x01\x021\x04")}, {N: 1}, {N: 0, Lost: gone},
		} {
			if r := runner.run(t.Context(), call{batch: b}); !errors.Is(r.err, batch.ErrFrame) || r.n != 0 || r.frame != nil {
				t.Errorf("%+v: got %+v", b, r)
			}
		}
		if r := runner.run(t.Context(), call{batch: batch.Batch{N: 1, Frame: one}}); string(r.frame) != "\x01\x022" {
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
	for _, f := range []Function{Define[int, int]("f", explode), DefineBatch("f", plusOnes)} {
		r := f.function().runner().run(ctx, call{batch: two})
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
		r := Define("f", f).function().runner().run(ctx, call{batch: three})
		if got := outcomes(t, batch.Batch{N: r.n, Frame: r.frame}); fmt.Sprint(got) != c.want || calls != 2 || r.failed != 0 {
			t.Errorf("got %v after %d calls, want %s", got, calls, c.want)
		}
	}
	for want, returned := range map[string]error{"[]": errors.New("stopped"), "[1]": Errors{1: errors.New("stopped")}, "[1 2 3]": nil} {
		ctx, cancel := context.WithCancel(t.Context())
		f := func(_ context.Context, xs []int) ([]int, error) {
			cancel()
			return xs, returned
		}
		three := batch.Batch{N: 3, Frame: []byte("\x01\x021\x022\x023")}
		r := DefineBatch("f", f).function().runner().run(ctx, call{batch: three})
		if got := outcomesOrNone(t, r); fmt.Sprint(got) != want || r.failed != 0 {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

// outcomesOrNone bears a result of nothing.
func outcomesOrNone(t *testing.T, r result) []string {
	t.Helper()
	if r.n == 0 && r.frame == nil {
		return nil
	}
	return outcomes(t, batch.Batch{N: r.n, Frame: r.frame})
}

// What failed is marked, in its place, and only while attempts are left.
func TestWhatIsTriedAgain(t *testing.T) {
	odd := func(_ context.Context, x int) (int, error) {
		switch {
		case x == 9:
			return 0, fmt.Errorf("wrapped: %w", Permanent(errors.New("nine")))
		case x%2 == 1:
			panic("odd")
		}
		return x, nil
	}
	odds := func(ctx context.Context, xs []int) ([]int, error) {
		errs := Errors{}
		for i, x := range xs {
			if x%2 == 1 {
				errs[i] = errors.New("odd")
			}
			if x == 9 {
				errs[i] = Permanent(errs[i])
			}
		}
		return xs, errs
	}
	for _, f := range []Function{Define("f", odd), DefineBatch("f", odds)} {
		r := runOf(t, f, call{tries: 2, retries: 2}, "2", "3", "4", "5", "9", "x")
		if r.n != 6 || fmt.Sprint(r.again) != "[1 3]" || r.failed != 2 {
			t.Errorf("%d items, %v again, %d failed", r.n, r.again, r.failed)
		}
		if r = runOf(t, f, call{tries: 3, retries: 2}, "2", "3", "9"); r.again != nil || r.failed != 2 {
			t.Errorf("%v again, %d failed", r.again, r.failed)
		}
	}
	if err := Permanent(nil); err != nil {
		t.Error(err)
	}
	why := errors.New("why")
	if err := Permanent(why); !errors.Is(err, why) || err.Error() != "why" {
		t.Error(err)
	}
}

func TestBackoffDoublesUpToTheLongest(t *testing.T) {
	for tried, want := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 20: 30 * time.Second, 1 << 40: 30 * time.Second,
	} {
		for range 100 {
			if got := backoff(broker.Stage{}, tried); got < want*3/4 || got > want*5/4 {
				t.Fatalf("after %d attempts %v, want about %v", tried, got, want)
			}
		}
	}
	if got := backoff(broker.Stage{Backoff: time.Hour, MaxBackoff: time.Second}, 1); got > 1250*time.Millisecond {
		t.Errorf("%v is longer than the longest", got)
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
	for _, f := range []Function{Define("f", from), DefineBatch("f", froms)} {
		wantOutcomes(t, runOf(t, f, call{tries: 2, retries: 1}, "{}", "1"), "decode after 0", "decode after 0")
	}
	var frame batch.Builder
	frame.EndFailure(append(frame.Begin(), "failure"...))
	frame.Value([]byte("1"))
	spoiled := input[int]{batch: batch.Batch{N: 2, Frame: frame.Take()}}
	spoiled.spoil(&attemptError{})
	if h, ok := spoiled.hole(0); !ok || string(h.failed) != "failure" {
		t.Errorf("got %+v", h)
	}
	into := func(context.Context, int) (any, error) { return quitter(1), nil }
	wantOutcomes(t, runOf(t, Define("f", into), call{tries: 2, retries: 1}, "1"), "panic after 2")
	intos := func(context.Context, []int) ([]any, error) { return []any{1, quitter(1), 2}, nil }
	wantOutcomes(t, runOf(t, DefineBatch("f", intos), call{retries: 1}, "1", "2", "3"), "1", "encode after 1", "2")
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
	for _, r := range []runner{single, many} {
		r.run(t.Context(), call{batch: items})
		r.release()
	}
	for _, in := range []*input[*string]{&single.in, &many.in} {
		for i, v := range in.values[:cap(in.values)] {
			if v != nil {
				t.Fatalf("value %d is kept", i)
			}
		}
	}
	for i, p := range many.places[:cap(many.places)] {
		if p.value != nil {
			t.Fatalf("result %d is kept", i)
		}
	}
	many.run(t.Context(), call{batch: repeated(keep+1, `"text"`)})
	many.release()
	if cap(many.places)+cap(many.in.values)+cap(many.todo) > 0 {
		t.Error("the memory of a very large batch is kept")
	}
}
