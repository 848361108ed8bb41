package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// The last digit of an input selects its outcome.
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

// A script is a function whose inputs select their outcomes, and the events that stop it.
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
	values, errs := make([]any, len(xs)), runner.Failed{}
	for i, x := range xs {
		values[i], errs[i] = s.behave(ctx, x)
	}
	return values, errs
}

// item adds the encoded input x to a frame.
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

// want returns the expected output for x.
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

// outcomes returns the outputs of a batch in the form of want.
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

// check runs the inputs, continues after each stop, retries items, and compares the outputs.
func (s *script) check(t *rapid.T, f *runner.Function, inputs []int) {
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
	running := f.New()
	r := &route{stage: broker.Stage{Retries: s.retries, Ins: make([]broker.Queue, 1), Outs: make([]broker.Out, 1)}}
	got := make([]string, len(inputs))
	todo := []broker.Remainder{{Batch: whole}}
	for len(todo) > 0 {
		e := broker.Entry{Batch: todo[0].Batch, Attempts: todo[0].Attempts}
		todo = todo[1:]
		result := s.run(t, running, e)
		wantFailed -= result.Failed
		made := make([]completion, 1)
		if err := completionsOf(r, []broker.Entry{e}, []step{{route: r, Result: result}}, nil, made); err != nil {
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

func (s *script) run(t *rapid.T, r runner.Runner, e broker.Entry) runner.Result {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s.attempt, s.stop = e.Attempts+1, stop
	got := r.Run(ctx, runner.Call{
		Batch: e.Batch, Worker: "worker", Stage: "stage", Attempt: s.attempt, Retries: s.retries,
		ShouldYield: func() bool { return next(&s.leaves) },
	})
	if got.Err != nil || got.N > e.N || got.N == 0 && ctx.Err() == nil || got.N == 0 && got.Frame != nil {
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
		s.check(t, runner.Define("f", s.behave, runner.Definition{}).Function(), inputs)
	})
}

func TestOneOutputForEachInputOfBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, inputs := draw(t, good, bad, unencodable, fails1, fails2, failed, undecodable)
		s.leaves = nil
		s.check(t, runner.DefineBatch("f", s.behaveTogether, runner.Definition{}).Function(), inputs)
	})
}
