//go:build !race

package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	lease   = 2 * time.Second
	address = "redis://127.0.0.1:6379"
	items   = 12
	// watchdog is the time limit of a flow, by the clock of the bubble.
	watchdog = 10 * time.Minute
)

// calls counts the runs of each function on each item.
type calls struct {
	mu      sync.Mutex
	n       map[string]int
	largest int // items of a call
}

func (c *calls) add(name string, x number) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[fmt.Sprint(name, " ", x)]++
}

// once returns an error with the functions that ran more than once on an item.
func (c *calls) once() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for call, n := range c.n {
		if n != 1 {
			return fmt.Errorf("%s was run %d times without a fault", call, n)
		}
	}
	return nil
}

// slow returns a function that takes some time.
func (c *calls) slow(name string, f func(number) number) workers.Func[number, number] {
	return workers.Define(name, func(ctx context.Context, x number) (number, error) {
		c.add(name, x)
		select {
		case <-time.After(3 * time.Millisecond):
			return f(x), nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

// together is slow as a batch function, which gets the items of several entries.
func (c *calls) together(name string, f func(number) number) workers.Func[number, number] {
	return workers.DefineBatch(name, func(ctx context.Context, xs []number) ([]number, error) {
		made := make([]number, len(xs))
		for i, x := range xs {
			c.add(name, x)
			made[i] = f(x)
		}
		c.mu.Lock()
		c.largest = max(c.largest, len(xs))
		c.mu.Unlock()
		select {
		case <-time.After(3 * time.Millisecond):
			return made, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

// A number is an item. One in four is too large for an entry and gets a payload key.
type number int

// MarshalJSON encodes a number, and ballast after a large one.
func (n number) MarshalJSON() ([]byte, error) {
	if n%4 != 0 {
		return strconv.AppendInt(nil, int64(n), 10), nil
	}
	return fmt.Appendf(nil, "[%d,%q]", int(n), ballast), nil
}

// UnmarshalJSON decodes both forms.
func (n *number) UnmarshalJSON(text []byte) error {
	digits, _, _ := strings.Cut(strings.TrimPrefix(string(text), "["), ",")
	v, err := strconv.Atoi(digits)
	*n = number(v)
	return err
}

var ballast = strings.Repeat("x", 3000)

// A run is the result of a flow.
type run struct {
	world *world
	calls *calls
	got   []number
	err   error
	took  time.Duration // until the last result
	left  []string      // keys after the flow
	stay  []string      // payloads among them that do not expire
}

// apart are the options for stages that are not fused.
var apart = []executor.MapOption{executor.NoFuse()}

// simulate runs a flow of two stages on fleet workers in a bubble, with the faults of a plan.
func simulate(t *testing.T, plan map[int]fault, fleet int, opts ...executor.MapOption) run {
	t.Helper()
	r := run{calls: &calls{n: map[string]int{}}}
	synctest.Test(t, func(t *testing.T) {
		r.world = &world{server: embedded.New(), plan: plan, over: make(chan struct{})}
		defer r.world.server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), watchdog)
		defer cancel()
		inc, double := r.calls.together("inc", func(x number) number { return x + 1 }), r.calls.slow("double", func(x number) number { return 2 * x })
		var running errgroup.Group
		var stops []context.CancelFunc
		for i := range fleet {
			work, stop := context.WithCancel(ctx)
			stops = append(stops, stop)
			a := r.world.actor(fmt.Sprint("w", i+1), true, stop)
			running.Go(func() error { return a.work(work, inc, double) })
		}
		begin := time.Now()
		r.got, r.err = r.world.feed(ctx, inc, double, opts...)
		r.took = time.Since(begin)
		for _, stop := range stops {
			stop()
		}
		if err := running.Wait(); err != nil && r.err == nil {
			r.err = err
		}
		r.left, r.stay = slices.DeleteFunc(r.world.server.Keys(), isHistory), r.world.payloads()
		close(r.world.over)
		pass(2 * time.Second) // go-redis checks once a second whether a pool that cannot dial was closed
	})
	return r
}

// work runs a worker.
func (a *actor) work(ctx context.Context, functions ...workers.Function) error {
	w, err := workers.New(address, workers.Dialer(a.dial), workers.Lease(lease), workers.Concurrency(2), workers.Functions(functions...))
	if err != nil {
		return err
	}
	err = w.Run(ctx)
	if errors.Is(err, errDead) {
		return nil
	}
	return err
}

// feed runs the process that scatters and gathers.
func (w *world) feed(ctx context.Context, inc, double workers.Func[number, number], opts ...executor.MapOption) (got []number, err error) {
	a := w.actor("x", false, func() {})
	ex, err := executor.New(ctx, address, executor.Dialer(a.dial), executor.Lease(lease))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	in := make([]number, items)
	for i := range in {
		in[i] = number(i)
	}
	q, err := bridge.ScatterSeq(ctx, ex, slices.Values(in))
	if err != nil {
		return nil, err
	}
	if q, err = executor.Map(ctx, inc, q, opts...); err != nil {
		return nil, err
	}
	if q, err = executor.Map(ctx, double, q, opts...); err != nil {
		return nil, err
	}
	for v, err := range bridge.All(ctx, q) {
		if err != nil {
			return got, err
		}
		got = append(got, v)
	}
	return got, nil
}

// isHistory reports whether a key is the history of flows that have gone, which stays.
func isHistory(key string) bool { return strings.HasSuffix(key, "}:runs") }

// payloads returns the payload keys without a lifetime.
func (w *world) payloads() (stay []string) {
	keys := slices.DeleteFunc(w.server.Keys(), func(key string) bool { return !strings.Contains(key, "}:f:") })
	if len(keys) == 0 {
		return nil
	}
	err := w.behind(func(ctx context.Context, raw *redis.Client) error {
		for _, key := range keys {
			ttl, err := raw.PTTL(ctx, key).Result()
			if err != nil {
				return err
			}
			if ttl < 0 {
				stay = append(stay, key)
			}
		}
		return nil
	})
	if err != nil {
		return []string{err.Error()}
	}
	return stay
}

// check compares the results with the expected ones.
func (r run) check() error {
	if r.err != nil {
		return fmt.Errorf("after %d results: %w", len(r.got), r.err)
	}
	for i := range max(items, len(r.got)) {
		if i >= len(r.got) || i >= items || r.got[i] != number(2*(i+1)) {
			return fmt.Errorf("the results are %v", r.got)
		}
	}
	if len(r.stay) > 0 {
		return fmt.Errorf("payloads are left that stay: %q", r.stay)
	}
	if r.world.struck > 0 {
		return nil
	}
	if len(r.left) > 0 {
		return fmt.Errorf("keys are left: %q", r.left)
	}
	return r.calls.once()
}
