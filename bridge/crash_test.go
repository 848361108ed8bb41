package bridge_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// hostile is an error whose text cannot be made.
type hostile struct{}

func (h hostile) Error() string { panic(h) }

// breaks is an iterator that ends in an unusual way after five numbers.
func breaks(end func()) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range 5 {
			if !yield(i) {
				return
			}
		}
		end()
	}
}

func explode() { panic("boom") }

func writeTo(m map[int]int) { m[1] = 2 }

func TestAnIteratorThatPanics(t *testing.T) {
	for name, c := range map[string]struct {
		end  func()
		text string // of the error, and a part of its stack
		in   string
	}{
		"panic":         {explode, "the iterator panicked: boom", "bridge_test.explode("},
		"hostile panic": {func() { panic(hostile{}) }, "a bridge_test.hostile whose text cannot be made", "crash_test.go:"},
		"nil map":       {func() { writeTo(nil) }, "assignment to entry in nil map", "crash_test.go:"},
		"Goexit":        {runtime.Goexit, "runtime.Goexit", ""},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, ex *executor.Executor) {
				in := must(bridge.ScatterSeq(t.Context(), ex, breaks(c.end)))(t)
				q := stage(t, inc, in)
				n, cut := 0, false
				for v, err := range bridge.All(t.Context(), q) {
					if cut = errors.Is(err, executor.ErrTruncated); cut {
						if !strings.Contains(err.Error(), c.text) {
							t.Errorf("cut by %v", err)
						}
						continue
					}
					if err != nil || v != n+1 {
						t.Errorf("result %d: %v, %v", n, v, err)
					}
					n++
				}
				if !cut || n > 5 {
					t.Errorf("%d results, cut %v", n, cut)
				}
				<-in.Done()
				if err := in.Err(); err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), c.in) {
					t.Errorf("Err: %v", err)
				}
			}, inc)
		})
	}
}

// refuser is a type that cannot be encoded, by an error or a panic of its own.
type refuser struct{ Panics bool }

func (r refuser) MarshalJSON() ([]byte, error) {
	if r.Panics {
		explode()
	}
	return nil, hostile{}
}

func (r *refuser) UnmarshalJSON([]byte) error {
	explode()
	return nil
}

func TestValuesThatPanicAreFailuresInTheirPlaces(t *testing.T) {
	produce := workers.Define("produce", func(_ context.Context, panics bool) (refuser, error) { return refuser{panics}, nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for what, q := range map[string]*executor.Queue[refuser]{
			"scatter": scatter(t, ex, []refuser{{false}, {true}}),
			"worker":  stage(t, produce, scatter(t, ex, []bool{false, true})),
		} {
			i := 0
			for _, err := range bridge.All(t.Context(), q) {
				var item *executor.ItemError
				if !errors.As(err, &item) || item.Code != "encode" {
					t.Fatalf("%s: %v", what, err)
				}
				if panics := i == 1; strings.Contains(item.Message, "boom") != panics || strings.Contains(item.Stack, "explode(") != panics || len(item.Message) > 5<<10 {
					t.Errorf("%s: %q, stack %q", what, item.Message, item.Stack)
				}
				i++
			}
			if i != 2 {
				t.Errorf("%s: %d results", what, i)
			}
		}
		if _, err := executor.Submit(t.Context(), ex, workers.Remote[refuser, int]("f"), refuser{true}); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("Submit: %v", err)
		}
	}, produce)
}

// undecodable is encoded as a number, and panics when it is decoded.
type undecodable int

func (u *undecodable) UnmarshalJSON([]byte) error {
	explode()
	return nil
}

func TestAPanicWhileDecodingIsAFailureInItsPlace(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for _, err := range bridge.All(t.Context(), scatter(t, ex, []undecodable{1})) {
			var item *executor.ItemError
			if !errors.As(err, &item) || item.Code != "decode" || !strings.Contains(item.Message, "boom") || !strings.Contains(item.Stack, "explode(") {
				t.Errorf("got %v", err)
			}
		}
	})
}

// leaver is encoded as a number, and ends its goroutine when it is decoded.
type leaver int

func (l *leaver) UnmarshalJSON([]byte) error {
	runtime.Goexit()
	return nil
}

func TestGoexitWhileDecodingEndsTheStream(t *testing.T) {
	add := workers.Define2("add", func(_ context.Context, x, y leaver) (int, error) { return int(x + y), nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		results := must(bridge.Gather(t.Context(), scatter(t, ex, []leaver{1, 2})))(t)
		n := 0
		for r := range results {
			if n++; r.Err == nil || !strings.Contains(r.Err.Error(), "runtime.Goexit") {
				t.Errorf("got %v, %v", r.Value, r.Err)
			}
		}
		if n != 1 {
			t.Errorf("%d results", n)
		}
		sum := must(executor.Map2(t.Context(), add, scatter(t, ex, []leaver{1}), scatter(t, ex, []leaver{2})))(t)
		var cut error
		for _, err := range bridge.All(t.Context(), sum) {
			cut = err
		}
		if !errors.Is(cut, executor.ErrTruncated) || !strings.Contains(cut.Error(), "runtime.Goexit") {
			t.Errorf("Map2 ended with %v", cut)
		}
	}, add)
}
