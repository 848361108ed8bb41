//go:build !race

package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/workers"
)

// heir runs a role and restarts it when its process dies. Faults of workers apply to it too.
func (w *world) heir(ctx context.Context, name string, work func(context.Context, *actor) (done bool, err error)) error {
	for n := 1; ; n++ {
		life, die := context.WithCancel(ctx)
		a := w.actor(fmt.Sprint(name, n), true, die)
		done, err := work(life, a)
		died := (life.Err() != nil || errors.Is(err, executor.ErrFenced)) && ctx.Err() == nil // or was declared dead
		die()
		switch {
		case done && died:
			return nil
		case done || err != nil && !died:
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// connect connects the Executor of an actor.
func (a *actor) connect(ctx context.Context) (*executor.Executor, error) {
	return executor.New(ctx, address, executor.Dialer(a.dial), executor.Lease(lease))
}

// produce scatters the numbers that are not stored yet, as a durable source.
func produce(ctx context.Context, a *actor) (done bool, err error) {
	ex, err := a.connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	in := make(chan number)
	q, err := bridge.Scatter(ctx, ex, in, bridge.Name("numbers"), bridge.DurableSource("s"), bridge.Seal())
	if err != nil {
		close(in)
		_, ended := errors.AsType[*executor.EndedError](err)
		return ended, nil // a predecessor has ended the source and died before the reply
	}
	for x := q.Stored(); x < items; x++ {
		select {
		case in <- number(x):
		case <-q.Done(): // or the process is dead
			if ctx.Err() != nil {
				return false, nil
			}
			return false, q.Err()
		}
	}
	close(in)
	<-q.Done()
	return q.Err() == nil, q.Err()
}

// A part is the results of one gather.
type part []number

func gather(f workers.Func[number, number], parts *[]part) func(context.Context, *actor) (bool, error) {
	return func(ctx context.Context, a *actor) (done bool, err error) {
		ex, err := a.connect(ctx)
		if err != nil {
			return false, err
		}
		defer func() { err = errors.Join(err, ex.Close()) }()
		out, err := opened(ctx, ex, f)
		if err != nil {
			return false, err
		}
		results, err := bridge.Gather(ctx, out, bridge.Buffer(0))
		for errors.Is(err, executor.ErrConsumerExists) { // until the lease of its predecessor has expired
			pass(lease / 4)
			results, err = bridge.Gather(ctx, out, bridge.Buffer(0))
		}
		if err != nil {
			return false, err
		}
		*parts = append(*parts, nil)
		got := &(*parts)[len(*parts)-1]
		for r := range results {
			switch {
			case r.Err == nil:
				*got = append(*got, r.Value)
			case ctx.Err() != nil: // the process is dead
				return false, nil
			case !errors.Is(r.Err, executor.ErrSourceOffline): // a producer has died, and its successor follows
				return false, r.Err
			}
		}
		return true, nil
	}
}

// opened waits for the queue and makes or finds the stage over it.
func opened(ctx context.Context, ex *executor.Executor, f workers.Func[number, number]) (*executor.Queue[number], error) {
	for {
		q, err := executor.Open[number](ctx, ex, "numbers")
		if err == nil {
			return executor.Map(ctx, f, q, executor.Name("results"))
		}
		if !errors.Is(err, executor.ErrQueueNotFound) || ctx.Err() != nil {
			return nil, err
		}
		pass(100 * time.Millisecond)
	}
}

// succeed runs a flow between named queues whose producer and gather have successors.
func succeed(t *testing.T, plan map[int]fault) (w *world, parts []part, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w = &world{server: embedded.New(), plan: plan}
		defer w.server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), watchdog)
		defer cancel()
		count := &calls{n: map[string]int{}}
		double := count.slow("double", func(x number) number { return 2 * x })
		work, stop := context.WithCancel(ctx)
		var fleet, ends errgroup.Group
		for _, name := range []string{"w1", "w2", "w3"} {
			own, die := context.WithCancel(work)
			a := w.actor(name, true, die)
			fleet.Go(func() error { return a.work(own, double) })
		}
		ends.Go(func() error { return w.heir(ctx, "producer", produce) })
		ends.Go(func() error { return w.heir(ctx, "gather", gather(double, &parts)) })
		err = ends.Wait()
		stop()
		err = errors.Join(err, fleet.Wait())
		if stay := w.payloads(); err == nil && len(stay) > 0 {
			err = fmt.Errorf("payloads are left that stay: %q", stay)
		}
		pass(2 * time.Second) // see simulate
	})
	return w, parts, err
}

// joined checks that each gather continues after the items that its predecessor had acknowledged.
// It may get unacknowledged items again, and must not miss any.
func joined(parts []part) error {
	at := 0
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		first := int(p[0] / 2)
		if first > at || p[0] != number(2*first) {
			return fmt.Errorf("a gather begins with %d where %d are done", p[0], at)
		}
		for i, v := range p {
			if v != number(2*(first+i)) {
				return fmt.Errorf("a gather got %v", p)
			}
		}
		at = max(at, first+len(p))
	}
	if at != items {
		return fmt.Errorf("%d items of %d came out", at, items)
	}
	return nil
}

func TestSuccessorsContinue(t *testing.T) {
	t.Parallel()
	sound, parts, err := succeed(t, nil)
	if err = errors.Join(err, joined(parts)); err != nil || len(parts) != 1 {
		t.Fatalf("%v, %v\n%s", parts, err, sound.last())
	}
	t.Logf("%d requests", sound.requests)
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			for at := 0; at < sound.requests; at += *stride {
				w, parts, err := succeed(t, map[int]fault{at: f})
				if err = errors.Join(err, joined(parts)); err != nil {
					t.Fatalf("at request %d: %v, %v\n%s", at, parts, err, w.last())
				}
			}
		})
	}
}
