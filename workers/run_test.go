package workers

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// What becomes of an input, its last digit.
const (
	good = iota
	bad
	panics
	exits
	unencodable
	fails1 // and is good then
	fails2
	failed // before it came here
	undecodable
	kinds
)

// A script is a function whose inputs say what happens to them, and what stops
// it.
type script struct {
	retries int
	stops   []bool // for each call of behave: whether the worker has to stop
	leaves  []bool // for each time that leave is asked
	attempt int
	stop    context.CancelFunc
}

func next(from *[]bool) bool {
	if len(*from) == 0 {
		return false
	}
	first := (*from)[0]
	*from = (*from)[1:]
	return first
}

func (s *script) behave(_ context.Context, x int) (any, error) {
	if next(&s.stops) {
		s.stop()
	}
	switch kind := x % 10; kind {
	case bad:
		return nil, errors.New("bad")
	case panics:
		panic("bad")
	case exits:
		runtime.Goexit()
	case unencodable:
		return make(chan int), nil
	case fails1, fails2:
		if s.attempt <= kind-fails1+1 {
			return x, errors.New("not yet")
		}
	}
	return x, nil
}

func (s *script) behaveTogether(ctx context.Context, xs []int) ([]any, error) {
	values, errs := make([]any, len(xs)), Errors{}
	for i, x := range xs {
		values[i], errs[i] = s.behave(ctx, x)
	}
	return values, errs
}

// item is the input x as it travels.
func (s *script) item(b *batch.Builder, x int) {
	switch x % 10 {
	case failed:
		b.EndFailure(append(b.Begin(), "failure "+strconv.Itoa(x)...))
	case undecodable:
		b.Value([]byte("not a number"))
	default:
		b.Value([]byte(strconv.Itoa(x)))
	}
}

// want is what has to come out for x.
func (s *script) want(x int) string {
	code, tries := batch.CodeError, s.retries+1
	switch kind := x % 10; kind {
	case good:
		return strconv.Itoa(x)
	case failed:
		return "failure " + strconv.Itoa(x)
	case panics, exits:
		code = batch.CodePanic
	case unencodable:
		code, tries = batch.CodeEncode, 1
	case undecodable:
		code, tries = batch.CodeDecode, 0
	case fails1, fails2:
		if kind-fails1+1 <= s.retries {
			return strconv.Itoa(x)
		}
	}
	return fmt.Sprintf("%s after %d", code, tries)
}

// outcomes reads a frame in the way of want.
func outcomes(t rapid.TB, b batch.Batch) (texts []string) {
	t.Helper()
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	rd := batch.Read(b.Frame)
	for item, isFailure, ok := rd.Next(); ok; item, isFailure, ok = rd.Next() {
		text := string(item)
		if isFailure && !strings.HasPrefix(text, "failure ") {
			f := batch.ParseFailure(item)
			if f.Function != "f" || f.Stage != "stage" || f.Worker != "worker" || f.Message == "" {
				t.Fatalf("the failure is %+v", f)
			}
			text = fmt.Sprintf("%s after %d", f.Code, f.Attempts)
		}
		texts = append(texts, text)
	}
	return texts
}

// check runs the inputs, in parts where it is left off and again where an item
// is to be tried again, and compares.
func (s *script) check(t *rapid.T, f Function, inputs []int) {
	var b batch.Builder
	var want []string
	wantFailed := 0
	for _, x := range inputs {
		s.item(&b, x)
		want = append(want, s.want(x))
		if strings.Contains(s.want(x), " after ") {
			wantFailed++
		}
	}
	whole := batch.Batch{Source: "s", N: len(inputs), Frame: b.Take()}
	before := string(whole.Frame)
	runner := f.function().runner()
	r := &route{stage: broker.Stage{Retries: s.retries, Ins: make([]broker.Queue, 1), Outs: make([]broker.Out, 1)}}
	got := make([]string, len(inputs))
	todo := []broker.Remainder{{Batch: whole}}
	for len(todo) > 0 {
		e := broker.Entry{Batch: todo[0].Batch, Attempts: todo[0].Attempts}
		todo = todo[1:]
		result := s.run(t, runner, e)
		wantFailed -= result.failed
		made := make([]completion, 1)
		if err := product(r, []broker.Entry{e}, []step{{route: r, result: result}}, nil, made); err != nil {
			t.Fatal(err)
		}
		d := made[0]
		for _, rest := range d.replace.Remainders {
			if rest.Delay == 0 != (rest.Attempts == e.Attempts) {
				t.Fatalf("an item with %d attempts comes back after %v with %d", e.Attempts, rest.Delay, rest.Attempts)
			}
		}
		todo = append(todo, d.replace.Remainders...)
		for _, out := range d.replace.Outs {
			for i, text := range outcomes(t, out.Batch) {
				got[out.First+int64(i)] += text
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || wantFailed != 0 || string(whole.Frame) != before {
		t.Fatalf("got %v, want %v; failures counted wrong by %d", got, want, wantFailed)
	}
}

func (s *script) run(t *rapid.T, r runner, e broker.Entry) result {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s.attempt, s.stop = e.Attempts+1, stop
	got := r.run(ctx, call{
		batch: e.Batch, worker: "worker", stage: "stage", tries: s.attempt, retries: s.retries,
		shouldYield: func() bool { return next(&s.leaves) },
	})
	if got.err != nil || got.n > e.N || got.n == 0 && ctx.Err() == nil || got.n == 0 && got.frame != nil {
		t.Fatalf("got %+v of %d items", got, e.N)
	}
	return got
}

func draw(t *rapid.T, kinds ...int) (*script, []int) {
	inputs := rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 20).Draw(t, "kinds")
	for i := range inputs {
		inputs[i] += 10 * i
	}
	flags := rapid.SliceOfN(rapid.Bool(), 0, 10)
	return &script{
		retries: rapid.IntRange(0, 2).Draw(t, "retries"),
		stops:   flags.Draw(t, "stops"),
		leaves:  flags.Draw(t, "leaves"),
	}, inputs
}

func TestOneOutputForEachInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, inputs := draw(t, good, bad, panics, exits, unencodable, fails1, fails2, failed, undecodable)
		s.check(t, Define("f", s.behave), inputs)
	})
}

func TestOneOutputForEachInputOfBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, inputs := draw(t, good, bad, unencodable, fails1, fails2, failed, undecodable)
		s.leaves = nil
		s.check(t, DefineBatch("f", s.behaveTogether), inputs)
	})
}

// runOf runs f on a batch of these items.
func runOf(t *testing.T, f Function, c call, items ...string) result {
	t.Helper()
	if f.Err() != nil {
		t.Fatal(f.Err())
	}
	var b batch.Builder
	for _, item := range items {
		b.Value([]byte(item))
	}
	c.tries = max(1, c.tries)
	c.batch, c.worker, c.stage = batch.Batch{N: len(items), Frame: b.Take()}, "worker", "stage"
	r := f.function().runner().run(t.Context(), c)
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r
}

// failureOf returns the first item, a failure.
func failureOf(t *testing.T, r result) batch.Failure {
	t.Helper()
	rd := batch.Read(r.frame)
	item, isFailure, _ := rd.Next()
	if !isFailure || r.failed == 0 {
		t.Fatalf("%d failures, the first item is %.100q", r.failed, item)
	}
	return batch.ParseFailure(item)
}

func wantOutcomes(t *testing.T, r result, want ...string) {
	t.Helper()
	if got := outcomes(t, batch.Batch{N: r.n, Frame: r.frame}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %.200q, want %.200q", got, want)
	}
}

func TestTimeouts(t *testing.T) {
	wait := func(ctx context.Context, x int) (int, error) {
		timer := time.NewTimer(time.Duration(x) * time.Second)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-timer.C:
			return x, nil
		}
	}
	deaf := func(_ context.Context, x int) (int, error) {
		<-time.After(time.Duration(x) * time.Second)
		if x%2 == 1 {
			return 0, errors.New("odd")
		}
		return x, nil
	}
	synctest.Test(t, func(t *testing.T) {
		c := call{timeout: 5 * time.Second, tries: 3, retries: 2}
		wantOutcomes(t, runOf(t, Define("f", wait), c, "1", "9", "4"), "1", "timeout after 3", "4")
		wantOutcomes(t, runOf(t, Define("f", deaf), c, "3", "5", "8", "9"),
			"error after 3", "timeout after 3", "timeout after 3", "timeout after 3")
		late := func(ctx context.Context, x int) (int, error) {
			<-ctx.Done()
			<-time.After(time.Duration(x) * time.Millisecond)
			return x, nil
		}
		wantOutcomes(t, runOf(t, Define("f", late), c, "400", "600"), "400", "timeout after 3")
		f := failureOf(t, runOf(t, Define("f", wait), c, "9"))
		wantText(t, f.Message, "timeout: the function took longer than the 5s", "raise", "context deadline exceeded")
		all := DefineBatch("f", func(ctx context.Context, xs []int) ([]int, error) {
			for _, x := range xs {
				if _, err := wait(ctx, x); err != nil {
					return nil, err
				}
			}
			return xs, nil
		})
		wantOutcomes(t, runOf(t, all, c, "8", "1"), "8", "1")
		wantOutcomes(t, runOf(t, all, c, "9", "7"), "timeout after 3", "timeout after 3")
		c.timeout = 1<<63 - 1
		wantOutcomes(t, runOf(t, all, c, "9", "7"), "9", "7")
	})
}

func TestBatchFunctionGetsTheGoodItems(t *testing.T) {
	var given [][]int
	f := DefineBatch("f", func(_ context.Context, xs []int) ([]int, error) {
		given = append(given, append([]int{}, xs...))
		errs := Errors{}
		for i, x := range xs {
			if xs[i]++; x%2 == 1 {
				errs[i] = errors.New("odd")
			}
		}
		return xs, fmt.Errorf("wrapped: %w", errs)
	})
	wantOutcomes(t, runOf(t, f, call{tries: 2, retries: 1}, "2", "x", "3", "4", "5"),
		"3", "decode after 0", "error after 2", "5", "error after 2")
	if fmt.Sprint(given) != "[[2 3 4 5]]" {
		t.Errorf("given %v", given)
	}
	wantOutcomes(t, runOf(t, f, call{}, "x"), "decode after 0")
	if len(given) != 1 {
		t.Error("called for nothing")
	}
}

func TestMistakesOfBatchFunctions(t *testing.T) {
	for want, f := range map[string]func(context.Context, []int) ([]int, error){
		"got 3 items and returned 2 results": func(_ context.Context, xs []int) ([]int, error) { return xs[:2], nil },
		"got 3 items and returned 4 results": func(_ context.Context, xs []int) ([]int, error) { return append(xs, 0), nil },
		"got 3 items and returned 0 results": func(context.Context, []int) ([]int, error) { return nil, Errors{1: errors.New("x")} },
		"Errors with index 3, but it got 3 items": func(_ context.Context, xs []int) ([]int, error) {
			return xs, Errors{3: errors.New("x")}
		},
		"no connection":      func(_ context.Context, xs []int) ([]int, error) { return xs, errors.New("no connection") },
		"panic: runtime":     func(_ context.Context, xs []int) ([]int, error) { return xs[:len(xs):0], nil },
		"by runtime.Goexit,": func(_ context.Context, xs []int) ([]int, error) { runtime.Goexit(); return xs, nil },
	} {
		r := runOf(t, DefineBatch("f", f), call{}, "1", "2", "3")
		if r.n != 3 || r.failed != 3 {
			t.Errorf("%s: %d items, %d failures", want, r.n, r.failed)
		}
		wantText(t, failureOf(t, r).Message, want)
	}
	none := func(context.Context, []int) ([]int, error) {
		return nil, Errors{0: errors.New("x"), 1: errors.New("y")}
	}
	r := runOf(t, DefineBatch("f", none), call{}, "1", "2")
	wantText(t, failureOf(t, r).Message, "x")
}
