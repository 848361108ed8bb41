//go:build !race

package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/workers"
)

// groupsOf are the inputs: the last one has more outputs than a worker runs whole.
var groupsOf = []int{2, 0, 66}

// One fault at each request of a flow in which a large group is opened and divided.
func TestEachFaultAtEachRequestOfGroups(t *testing.T) {
	t.Parallel()
	eachFault(t, feedGroups)
}

// eachFault runs a flow again and again, with one fault at each request.
func eachFault(t *testing.T, feed feeding) {
	t.Helper()
	sound, _, err := simulateFlow(t, nil, feed)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			for at := 0; at < sound.requests; at += *stride {
				w, left, err := simulateFlow(t, map[int]fault{at: f}, feed)
				if err == nil && w.struck == 0 && len(left) > 0 {
					err = fmt.Errorf("keys are left: %q", left)
				}
				if err != nil {
					t.Fatalf("at request %d: %v\n%s", at, err, w.last())
				}
			}
		})
	}
}

// A feeding makes a flow of two functions, gathers it and compares the results.
type feeding func(ctx context.Context, ex *executor.Executor, below workers.FlatFunc[int, int], inc workers.Func[int, int]) error

// simulateFlow runs a flow on two workers in a bubble, with the faults of a plan.
func simulateFlow(t *testing.T, plan map[int]fault, feed feeding) (w *world, left []string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w = &world{server: embedded.New(), plan: plan, over: make(chan struct{})}
		defer w.server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), watchdog)
		defer cancel()
		below := workers.DefineFlatMap("below", func(_ context.Context, n int, yield func(int)) error {
			for i := range n {
				yield(i)
			}
			return nil
		})
		inc := workers.Define("inc", func(_ context.Context, x int) (int, error) {
			<-time.After(time.Millisecond)
			return x + 1, nil
		})
		var running errgroup.Group
		var stops []context.CancelFunc
		for i := range pair {
			work, stop := context.WithCancel(ctx)
			stops = append(stops, stop)
			a := w.actor(fmt.Sprint("w", i+1), true, stop)
			running.Go(func() error { return a.work(work, below, inc) })
		}
		err = w.execute(ctx, func(ex *executor.Executor) error { return feed(ctx, ex, below, inc) })
		for _, stop := range stops {
			stop()
		}
		err = errors.Join(err, running.Wait())
		left = slices.DeleteFunc(w.server.Keys(), isHistory)
		close(w.over)
		pass(2 * time.Second) // go-redis checks once a second whether a pool that cannot dial was closed
	})
	return w, left, err
}

// execute runs the process that scatters and gathers.
func (w *world) execute(ctx context.Context, do func(ex *executor.Executor) error) (err error) {
	a := w.actor("x", false, func() {})
	ex, err := executor.New(ctx, address, executor.Dialer(a.dial), executor.Lease(lease))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	return do(ex)
}

func feedGroups(ctx context.Context, ex *executor.Executor, below workers.FlatFunc[int, int], inc workers.Func[int, int]) error {
	q, err := bridge.ScatterSeq(ctx, ex, slices.Values(groupsOf))
	if err != nil {
		return err
	}
	if q, err = flow.FlatMap(ctx, below, q, executor.NoFuse()); err != nil {
		return err
	}
	if q, err = executor.Map(ctx, inc, q); err != nil {
		return err
	}
	var got, want []int
	for v, err := range bridge.All(ctx, q) {
		if err != nil {
			return fmt.Errorf("after %d results: %w", len(got), err)
		}
		got = append(got, v)
	}
	for _, n := range groupsOf {
		for i := range n {
			want = append(want, i+1)
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("the results are %v", got)
	}
	return nil
}
