//go:build !race

package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// One fault at each request of a flow that ends in a sink: each failure counts once, each row is stored,
// and no key is left.
func TestEachFaultAtEachRequestOfSink(t *testing.T) {
	t.Parallel()
	sound, _, err := simulateSink(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			for at := 0; at < sound.requests; at += *stride {
				w, left, err := simulateSink(t, map[int]fault{at: f})
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

// A rowStore has the rows that the sinks of all workers have stored.
type rowStore struct {
	mu   sync.Mutex
	rows map[int]bool
}

func (s *rowStore) insert(_ context.Context, row int) error {
	<-time.After(time.Millisecond)
	if row == 2 {
		return errors.New("duplicate key")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[row] = true
	return nil
}

// simulateSink runs a flow of a map and a sink on two workers in a bubble, with the faults of a plan.
func simulateSink(t *testing.T, plan map[int]fault) (w *world, left []string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w = &world{server: embedded.New(), plan: plan, over: make(chan struct{})}
		defer w.server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), watchdog)
		defer cancel()
		stored := &rowStore{rows: map[int]bool{}}
		store := workers.DefineSink("store", stored.insert)
		inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
		var running errgroup.Group
		var stops []context.CancelFunc
		for i := range pair {
			work, stop := context.WithCancel(ctx)
			stops = append(stops, stop)
			a := w.actor(fmt.Sprint("w", i+1), true, stop)
			running.Go(func() error { return a.work(work, inc, store) })
		}
		err = w.feedSink(ctx, inc, store)
		for _, stop := range stops {
			stop()
		}
		err = errors.Join(err, running.Wait())
		if len(stored.rows) != 4 || stored.rows[2] {
			err = errors.Join(err, fmt.Errorf("the rows are %v", stored.rows))
		}
		left = slices.DeleteFunc(w.server.Keys(), isHistory)
		close(w.over)
		pass(2 * time.Second) // go-redis checks once a second whether a pool that cannot dial was closed
	})
	return w, left, err
}

// feedSink runs the process that scatters and waits for the sink.
func (w *world) feedSink(ctx context.Context, inc workers.Func[int, int], store workers.Sink[int]) (err error) {
	a := w.actor("x", false, func() {})
	ex, err := executor.New(ctx, address, executor.Dialer(a.dial), executor.Lease(lease))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	q, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{0, 1, 2, 3, 4}))
	if err != nil {
		return err
	}
	if q, err = executor.Map(ctx, inc, q, executor.NoFuse()); err != nil {
		return err
	}
	var failed *flow.Failed
	if err := flow.Each(ctx, store, q); !errors.As(err, &failed) || failed.N != 1 {
		return fmt.Errorf("each: %w", err)
	}
	return nil
}
