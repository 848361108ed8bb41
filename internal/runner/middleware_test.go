package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// The functions of these tests fail for 7, panic for 8 and end their goroutine for 9.
func touchy(ctx context.Context, x int) (int, error) {
	switch {
	case ctx == nil:
		return 0, errors.New("no context")
	case x == 7:
		return 0, &Permanent{errors.New("seven")}
	case x == 8:
		panic("eight")
	case x == 9:
		runtime.Goexit()
	}
	return 10 * x, nil
}

// touchies fails the items that touchy fails.
func touchies(ctx context.Context, xs []int) ([]int, error) {
	failed, out := Failed{}, make([]int, len(xs))
	for i, x := range xs {
		out[i], failed[i] = touchy(ctx, x)
	}
	return out, failed
}

// with returns a Handler with one middleware.
func with(t *testing.T, middleware func(ctx context.Context, in Invocation, next Handler) error) Handler {
	t.Helper()
	h, err := Chain([]Middleware{func(next Handler) (Handler, error) {
		return func(ctx context.Context, in Invocation) error { return middleware(ctx, in, next) }, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// inGoroutine calls next in another goroutine and waits for it.
func inGoroutine(ctx context.Context, in Invocation, next Handler) error {
	ended := make(chan error, 1)
	go func() { ended <- next(ctx, in) }()
	return <-ended
}

var errOwn = errors.New("own")

// Each row is a middleware with the outcomes of the items 1, 7 and 8, and the text of the first
// failure.
var middlewares = map[string]struct {
	middleware func(ctx context.Context, in Invocation, next Handler) error
	want, text string
}{
	"calls next":     {func(ctx context.Context, in Invocation, next Handler) error { return next(ctx, in) }, "10 error panic", "seven"},
	"in a goroutine": {inGoroutine, "10 error panic", "seven"},
	"returns another error": {func(ctx context.Context, in Invocation, next Handler) error {
		return errors.Join(errOwn, next(ctx, in))
	}, "error error panic", "own"},
	"returns an error alone": {
		func(context.Context, Invocation, Handler) error { return errOwn }, "error error error", "own",
	},
	"does not call next": {func(context.Context, Invocation, Handler) error { return nil }, "error error error", "did not call next"},
	"ignores the error": {
		func(ctx context.Context, in Invocation, next Handler) error { _ = next(ctx, in); return nil }, "10 error panic", "returned nil for an error of the function, so the item has no result: seven",
	},
	"calls next twice": {
		func(ctx context.Context, in Invocation, next Handler) error {
			_ = next(ctx, in)
			_ = next(ctx, in)
			return nil
		}, "error error panic", "called next twice",
	},
	"calls next twice at once": {func(ctx context.Context, in Invocation, next Handler) error {
		var both sync.WaitGroup
		both.Go(func() { _ = next(ctx, in) })
		both.Go(func() { _ = next(ctx, in) })
		both.Wait()
		return nil
	}, "error error error", "called next twice"},
	"panics before":           {func(context.Context, Invocation, Handler) error { panic("mine") }, "panic panic panic", "panic: mine"},
	"panics after":            {func(ctx context.Context, in Invocation, next Handler) error { _ = next(ctx, in); panic("mine") }, "panic panic panic", "panic: mine"},
	"exits":                   {func(context.Context, Invocation, Handler) error { runtime.Goexit(); return nil }, "panic panic panic", "runtime.Goexit"},
	"passes no context":       {func(_ context.Context, in Invocation, next Handler) error { return next(nil, in) }, "error error error", "nil context"},
	"ignores the lack of one": {func(_ context.Context, in Invocation, next Handler) error { _ = next(nil, in); return nil }, "error error error", "did not call next"},
	"makes a call itself":     {func(ctx context.Context, _ Invocation, next Handler) error { return next(ctx, Invocation{}) }, "error error error", "made itself"},
	"recovers and returns an error": {func(ctx context.Context, in Invocation, next Handler) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("recovered %v", r)
			}
		}()
		return next(ctx, in)
	}, "10 error error", "seven"},
	"recovers and returns nil": {func(ctx context.Context, in Invocation, next Handler) error {
		defer func() { _ = recover() }()
		return next(ctx, in)
	}, "10 error error", "seven"},
}

// Each call has one item.
func TestOutcomesWithMiddleware(t *testing.T) {
	t.Parallel()
	for name, row := range middlewares {
		for kind, f := range map[string]*Function{"item": define("f", touchy), "batch": defineBatch("f", touchies)} {
			for _, timeout := range []time.Duration{0, time.Hour} {
				t.Run(fmt.Sprint(name, "/", kind, "/", timeout), func(t *testing.T) {
					t.Parallel()
					var got []string
					var text string
					for _, item := range []string{"1", "7", "8"} {
						r := runOf(t, f, Call{Handler: with(t, row.middleware), Timeout: timeout}, item)
						outcome, _, _ := strings.Cut(runOutcome(t, r), " ")
						if got = append(got, outcome); text == "" && r.Failed > 0 {
							text = failureOf(t, r).Message
						}
					}
					if fmt.Sprint(got) != "["+row.want+"]" || !strings.Contains(text, row.text) {
						t.Errorf("%v, want %s; %q, want %q", got, row.want, text, row.text)
					}
				})
			}
		}
	}
}

// runOutcome returns the outcome of a single item.
func runOutcome(t *testing.T, r Result) string {
	t.Helper()
	b := repeated(1, "")
	b.N, b.Frame = r.N, r.Frame
	return outcomes(t, b)[0]
}

// A Handler that is left or called late affects neither its item nor a later one.
func TestMiddlewareAfterItsCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var late []func() error
		keep := with(t, func(ctx context.Context, in Invocation, next Handler) error {
			late = append(late, func() error { return next(ctx, in) })
			if in.Item.Offset == 0 {
				return errors.New("left")
			}
			return next(ctx, in)
		})
		wantOutcomes(t, runOf(t, define("f", touchy), Call{Handler: keep}, "1", "2"), "error after 1", "20")
		for i, call := range late {
			if err := call(); !errors.Is(err, errLate) {
				t.Errorf("%d: %v", i, err)
			}
		}
		early := with(t, func(ctx context.Context, in Invocation, next Handler) error {
			go func() { _ = next(ctx, in) }()
			synctest.Wait()
			if in.Item.Offset == 0 {
				return errors.New("left")
			}
			return nil
		})
		done := 0
		slow := define("f", func(_ context.Context, x int) (int, error) {
			<-time.After(time.Minute)
			done++
			return x, nil
		})
		r := runOf(t, slow, Call{Handler: early}, "1", "2")
		wantOutcomes(t, r, "error after 1", "error after 1")
		if done != 2 {
			t.Errorf("the slot waited for %d functions, want 2", done)
		}
	})
}

// A function with a timeout that does not return leaves its Handler behind; it returns later and
// changes no other item.
func TestMiddlewareIsLeftBehindWithItsFunction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var saw []error
		h := with(t, func(ctx context.Context, in Invocation, next Handler) error {
			err := next(ctx, in)
			mu.Lock()
			defer mu.Unlock()
			saw = append(saw, err)
			return err
		})
		deaf := func(_ context.Context, x int) (int, error) {
			<-time.After(time.Duration(x) * time.Second)
			return x, nil
		}
		for _, f := range []*Function{define("f", deaf), defineBatch("f", func(ctx context.Context, xs []int) ([]int, error) {
			_, err := deaf(ctx, xs[0])
			return xs, err
		})} {
			mu.Lock()
			saw = nil
			mu.Unlock()
			wantOutcomes(t, runOf(t, f, Call{Handler: h, Timeout: 5 * time.Second}, "9"), "timeout after 1")
			mu.Lock()
			if len(saw) != 0 {
				t.Errorf("the middleware saw %v", saw)
			}
			mu.Unlock()
			wantOutcomes(t, runOf(t, f, Call{Handler: h, Timeout: 5 * time.Second}, "1"), "1")
			<-time.After(10 * time.Second)
			synctest.Wait()
			mu.Lock()
			if len(saw) != 2 || saw[0] != nil || saw[1] != nil {
				t.Errorf("at last the middleware saw %v", saw)
			}
			mu.Unlock()
		}
	})
}

// A panic of the function passes through its middleware as a panic, with the stack of the function.
func TestPanicsPassThroughMiddleware(t *testing.T) {
	t.Parallel()
	var passed []string
	h := with(t, func(ctx context.Context, in Invocation, next Handler) error {
		ended := false
		defer func() {
			if !ended {
				passed = append(passed, fmt.Sprint(in.Item.Offset))
			}
		}()
		err := next(ctx, in)
		ended = true
		return err
	})
	var deep func(n int) int
	deep = func(n int) int {
		if n == 0 {
			panic("at the bottom")
		}
		return deep(n-1) + 1
	}
	f := define("f", func(_ context.Context, x int) (int, error) {
		if x == 9 {
			runtime.Goexit()
		}
		return deep(x), nil
	})
	r := runOf(t, f, Call{Handler: h}, "9", "300", "0")
	wantOutcomes(t, r, "panic after 1", "panic after 1", "panic after 1")
	if fmt.Sprint(passed) != "[0 1 2]" {
		t.Errorf("panics passed for %v", passed)
	}
	failed := failureOf(t, runOf(t, f, Call{Handler: h}, "2"))
	wantText(t, failed.Message, "panic: at the bottom")
	wantText(t, failed.Stack, "TestPanicsPassThroughMiddleware.func")
}

// A middleware of a batch function sees the errors of single items and may replace them, but not
// remove them.
func TestMiddlewareOfSingleErrors(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err  func(in Invocation, call func() error) error
		want []string
	}{
		"same":       {func(_ Invocation, call func() error) error { return call() }, []string{"10", "error seven", "20"}},
		"removed":    {func(_ Invocation, call func() error) error { _ = call(); return nil }, []string{"10", "error a middleware returned nil", "20"}},
		"another":    {func(_ Invocation, call func() error) error { _ = call(); return Failed{2: errors.New("two")} }, []string{"10", "error a middleware", "error two"}},
		"replaced":   {func(_ Invocation, call func() error) error { _ = call(); return Failed{1: errors.New("one")} }, []string{"10", "error one", "20"}},
		"all":        {func(_ Invocation, call func() error) error { _ = call(); return errors.New("all") }, []string{"error all", "error all", "error all"}},
		"not called": {func(Invocation, func() error) error { return Failed{0: errors.New("zero")} }, []string{"error zero", "error a middleware returned nil and did not", "error a middleware returned nil and did not"}},
		"number":     {func(in Invocation, _ func() error) error { return fmt.Errorf("%d %v", in.Items, in.Whole) }, []string{"error 3 true", "error 3 true", "error 3 true"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := with(t, func(ctx context.Context, in Invocation, next Handler) error {
				return row.err(in, func() error { return next(ctx, in) })
			})
			r := runOf(t, defineBatch("f", touchies), Call{Handler: h}, "1", "7", "2")
			wantTexts(t, r, row.want...)
		})
	}
	h := with(t, func(ctx context.Context, in Invocation, next Handler) error {
		if err := next(ctx, in); err != nil {
			t.Errorf("an empty Failed is the error %v", err)
		}
		return nil
	})
	wantOutcomes(t, runOf(t, defineBatch("f", touchies), Call{Handler: h}, "1", "2"), "10", "20")
}

// wantTexts compares values, and failures as their code and the begin of their message.
func wantTexts(t *testing.T, r Result, want ...string) {
	t.Helper()
	var got []string
	rd := batch.Read(r.Frame)
	for item, failed, ok := rd.Next(); ok; item, failed, ok = rd.Next() {
		text := string(item)
		if failed {
			f := batch.ParseFailure(item)
			text = f.Code + " " + f.Message
		}
		got = append(got, text)
	}
	for i, text := range want {
		if i >= len(got) || !strings.HasPrefix(got[i], text) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}
