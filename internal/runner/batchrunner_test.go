package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
)

func TestBatchFunctionGetsTheGoodItems(t *testing.T) {
	var given [][]int
	f := defineBatch("f", func(_ context.Context, xs []int) ([]int, error) {
		given = append(given, append([]int{}, xs...))
		errs := Failed{}
		for i, x := range xs {
			if xs[i]++; x%2 == 1 {
				errs[i] = errors.New("odd")
			}
		}
		return xs, fmt.Errorf("wrapped: %w", errs)
	})
	wantOutcomes(t, runOf(t, f, Call{Attempt: 2, Retries: 1}, "2", "x", "3", "4", "5"),
		"3", "decode after 0", "error after 2", "5", "error after 2")
	if fmt.Sprint(given) != "[[2 3 4 5]]" {
		t.Errorf("given %v", given)
	}
	wantOutcomes(t, runOf(t, f, Call{}, "x"), "decode after 0")
	if len(given) != 1 {
		t.Error("called for nothing")
	}
}

func TestMistakesOfBatchFunctions(t *testing.T) {
	for want, f := range map[string]func(context.Context, []int) ([]int, error){
		"got 3 items and returned 2 results": func(_ context.Context, xs []int) ([]int, error) { return xs[:2], nil },
		"got 3 items and returned 4 results": func(_ context.Context, xs []int) ([]int, error) { return append(xs, 0), nil },
		"got 3 items and returned 0 results": func(context.Context, []int) ([]int, error) { return nil, Failed{1: errors.New("x")} },
		"Errors with index 3, but it got 3 items": func(_ context.Context, xs []int) ([]int, error) {
			return xs, Failed{3: errors.New("x")}
		},
		"no connection":      func(_ context.Context, xs []int) ([]int, error) { return xs, errors.New("no connection") },
		"panic: runtime":     func(_ context.Context, xs []int) ([]int, error) { return xs[:len(xs):0], nil },
		"by runtime.Goexit,": func(_ context.Context, xs []int) ([]int, error) { runtime.Goexit(); return xs, nil },
	} {
		r := runOf(t, defineBatch("f", f), Call{}, "1", "2", "3")
		if r.N != 3 || r.Failed != 3 {
			t.Errorf("%s: %d items, %d failures", want, r.N, r.Failed)
		}
		wantText(t, failureOf(t, r).Message, want)
	}
	none := func(context.Context, []int) ([]int, error) {
		return nil, Failed{0: errors.New("x"), 1: errors.New("y")}
	}
	r := runOf(t, defineBatch("f", none), Call{}, "1", "2")
	wantText(t, failureOf(t, r).Message, "x")
}
