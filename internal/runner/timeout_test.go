package runner

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFunctionWithTooManyCallsLeftBehindIsUnavailable(t *testing.T) {
	double := func(_ context.Context, x int) (int, error) { return 2 * x, nil }
	doubles := func(_ context.Context, xs []int) ([]int, error) { return xs, nil }
	for name, f := range map[string]*Function{"item": define("f", double), "batch": defineBatch("f", doubles)} {
		var left atomic.Int64
		var why string
		c := Call{Timeout: time.Hour, Left: &left, Unavailable: func(_ int, text string) bool {
			why = text
			return true
		}}
		left.Store(maxLeft)
		if r := runOf(t, f, c, "1"); r.N != 0 || !strings.Contains(why, errTooManyLeft.Error()) {
			t.Errorf("%s: %d items run, and the function is unavailable because of %q", name, r.N, why)
		}
		left.Store(maxLeft - 1)
		if r := runOf(t, f, c, "1"); r.N != 1 || r.Failed != 0 {
			t.Errorf("%s: %d items run, %d failed after one call has returned", name, r.N, r.Failed)
		}
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
		c := Call{Timeout: 5 * time.Second, Attempt: 3, Retries: 2}
		wantOutcomes(t, runOf(t, define("f", wait), c, "1", "9", "4"), "1", "timeout after 3", "4")
		wantOutcomes(t, runOf(t, define("f", deaf), c, "3", "5", "8", "9"),
			"error after 3", "timeout after 3", "timeout after 3", "timeout after 3")
		late := func(ctx context.Context, x int) (int, error) {
			<-ctx.Done()
			<-time.After(time.Duration(x) * time.Millisecond)
			return x, nil
		}
		wantOutcomes(t, runOf(t, define("f", late), c, "400", "600"), "400", "timeout after 3")
		f := failureOf(t, runOf(t, define("f", wait), c, "9"))
		wantText(t, f.Message, "timeout: the function took longer than the 5s", "raise", "context deadline exceeded")
		all := defineBatch("f", func(ctx context.Context, xs []int) ([]int, error) {
			for _, x := range xs {
				if _, err := wait(ctx, x); err != nil {
					return nil, err
				}
			}
			return xs, nil
		})
		wantOutcomes(t, runOf(t, all, c, "8", "1"), "8", "1")
		wantOutcomes(t, runOf(t, all, c, "9", "7"), "timeout after 3", "timeout after 3")
		c.Timeout = 1<<63 - 1
		wantOutcomes(t, runOf(t, all, c, "9", "7"), "9", "7")
	})
}
