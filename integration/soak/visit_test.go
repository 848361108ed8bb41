// Package soak lets many producers, gathers, executors, workers, functions and sources come and go,
// and compares the remaining data and resources with those at the beginning.
package soak

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) {
	if role, ok := roleOfProcess(); ok {
		role.play()
	}
	testkit.Main(m)
}

// The functions. "old" and "new" are two versions of the shared stage's function.
var (
	inc    = workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	double = workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	fails  = workers.Define("fails", func(_ context.Context, x int) (int, error) { return 0, fmt.Errorf("%d is refused", x) })
	slow   = workers.Define("slow", func(ctx context.Context, x int) (int, error) {
		select {
		case <-time.After(time.Second):
			return x, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	older = workers.Define("old", func(_ context.Context, x int) (int, error) { return x, nil })
	newer = workers.Define("new", func(_ context.Context, x int) (int, error) { return x, nil })
	all   = workers.Functions(inc, double, fails, slow, older, newer)
)

const (
	orders  = "orders"   // a queue that all visits share
	results = "results"  // behind its stage
	private = "private-" // with a number: a queue of one visit
	items   = 10
)

// A visit is the work of one executor. n is the number of the visit.
type visit struct {
	name string
	run  func(ctx context.Context, ex *executor.Executor, n int) error
}

var visits = []visit{
	{"flow", func(ctx context.Context, ex *executor.Executor, _ int) error {
		out, err := flow(ctx, ex, inc, double)
		if err != nil {
			return err
		}
		return expect(ctx, out, func(i int) int { return 2 * (i + 1) })
	}},
	{"flow whose context ends", func(ctx context.Context, ex *executor.Executor, _ int) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		out, err := flow(ctx, ex, inc, slow)
		if err != nil {
			return err
		}
		for range bridge.All(ctx, out) {
			cancel()
		}
		return nil
	}},
	{"loop that is left", func(ctx context.Context, ex *executor.Executor, _ int) error {
		out, err := flow(ctx, ex, slow)
		if err != nil {
			return err
		}
		for _, err := range bridge.All(ctx, out) {
			return err
		}
		return errors.New("there is no result")
	}},
	{"failures", func(ctx context.Context, ex *executor.Executor, _ int) error {
		out, err := flow(ctx, ex, fails, inc)
		if err != nil {
			return err
		}
		n := 0
		for _, err := range bridge.All(ctx, out) {
			if !bridge.IsItemError(err) {
				return fmt.Errorf("the result of a function that fails: %w", err)
			}
			n++
		}
		return count(n)
	}},
	{"futures", func(ctx context.Context, ex *executor.Executor, n int) error {
		futures, err := executor.MapSlice(ctx, ex, inc, upTo(items), executor.Timeout(time.Duration(1000+n)*time.Second))
		if err != nil {
			return err
		}
		got, err := executor.GatherSlice(ctx, futures)
		if err == nil && got[items-1] != items {
			err = fmt.Errorf("the futures are %v", got)
		}
		return err
	}},
	{"futures that nobody waits for", func(ctx context.Context, ex *executor.Executor, _ int) error {
		_, err := executor.MapSlice(ctx, ex, slow, upTo(items))
		return err
	}},
	{"branches", func(ctx context.Context, ex *executor.Executor, _ int) error {
		out, err := flow(ctx, ex, inc)
		if err != nil {
			return err
		}
		branches, err := executor.Multiplex(ctx, 2, out)
		if err != nil {
			return err
		}
		for _, branch := range branches {
			if err := expect(ctx, branch, func(i int) int { return i + 1 }); err != nil {
				return err
			}
		}
		return nil
	}},
	{"producer", func(ctx context.Context, ex *executor.Executor, n int) error {
		name := fmt.Sprint(private, n)
		p, err := bridge.NewProducer[int](ctx, ex, bridge.Name(name))
		if err != nil {
			return err
		}
		return errors.Join(p.SendAll(ctx, upTo(items)), p.Close(), ex.Delete(ctx, name))
	}},
	{"durable source", func(ctx context.Context, ex *executor.Executor, n int) error {
		return send(ctx, ex, bridge.DurableSource(fmt.Sprint("site-", n)))
	}},
	{"source", func(ctx context.Context, ex *executor.Executor, _ int) error { return send(ctx, ex) }},
	{"replaced stage", func(ctx context.Context, ex *executor.Executor, n int) error {
		return share(ctx, ex, []workers.Func[int, int]{older, newer}[n%2])
	}},
}

func upTo(n int) []int {
	values := make([]int, n)
	for i := range values {
		values[i] = i
	}
	return values
}

func flow(ctx context.Context, ex *executor.Executor, functions ...workers.Func[int, int]) (*executor.Queue[int], error) {
	q, err := bridge.ScatterSeq(ctx, ex, slices.Values(upTo(items)))
	for _, f := range functions {
		if err == nil {
			q, err = executor.Map(ctx, f, q)
		}
	}
	return q, err
}

func expect(ctx context.Context, q *executor.Queue[int], want func(i int) int) error {
	n := 0
	for v, err := range bridge.All(ctx, q) {
		if err != nil || v != want(n) {
			return fmt.Errorf("result %d is %d, %w", n, v, err)
		}
		n++
	}
	return count(n)
}

func count(n int) error {
	if n != items {
		return fmt.Errorf("there are %d results for %d items", n, items)
	}
	return nil
}

// send adds items to the shared queue.
func send(ctx context.Context, ex *executor.Executor, opts ...bridge.ScatterOption) error {
	q, err := bridge.ScatterSeq(ctx, ex, slices.Values(upTo(items)), append(opts, bridge.Name(orders))...)
	if err != nil {
		return err
	}
	<-q.Done()
	return q.Err()
}

// share makes the stage over the shared queue, in the place of the existing one.
func share(ctx context.Context, ex *executor.Executor, f workers.Func[int, int]) error {
	q, err := executor.Open[int](ctx, ex, orders)
	if err == nil {
		_, err = executor.Map(ctx, f, q, executor.Name(results), executor.ReplaceStage())
	}
	return err
}

// open makes the shared queues.
func open(ctx context.Context, ex *executor.Executor) error {
	return errors.Join(send(ctx, ex), share(ctx, ex, older))
}

// tidy deletes the named queues of killed visitors, as an operator would, and sends items through
// the shared queues, so that the names of their readers are known there.
func tidy(ctx context.Context, ex *executor.Executor) error {
	queues, err := ex.Queues(ctx)
	if err != nil {
		return err
	}
	for _, q := range queues {
		if strings.HasPrefix(q.Name, private) {
			err = errors.Join(err, ex.Delete(ctx, q.Name))
		}
	}
	return errors.Join(err, send(ctx, ex))
}

// drain gathers the shared results until ctx ends.
func drain(ctx context.Context, ex *executor.Executor) error {
	q, err := executor.Open[int](ctx, ex, results)
	if err != nil {
		return err
	}
	for _, err := range bridge.All(ctx, q, bridge.Wait()) {
		if err != nil && !bridge.IsSourceError(err) && ctx.Err() == nil { // producers die
			return fmt.Errorf("gather: %w", err)
		}
	}
	return nil
}
