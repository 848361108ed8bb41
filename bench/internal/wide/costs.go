package wide

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	items = 200 // of ItemCost
	flows = 20  // of FlowCost
	joins = 10  // of JoinCost

	atOnce   = 16 // flows under way in FlowsCost
	flowsOne = 30 // flows of each of them, one after the other
)

// A Cost is what one item, one flow or one worker costs Redis beyond the fleet at rest.
type Cost struct {
	CPU      float64 // seconds
	Commands float64
}

// beyond is the cost of each of n things that f does.
func (r Running) beyond(ctx context.Context, n int, f func() error) (Cost, error) {
	began := time.Now()
	used, err := r.Server.Used(ctx, f)
	seconds := time.Since(began).Seconds()
	return Cost{(used.CPU - r.Share*seconds) / float64(n), (used.Commands - r.Commands*seconds) / float64(n)}, err
}

// ItemCost is that of an item that comes alone, when all workers wait.
func (r Running) ItemCost(ctx context.Context) (cost Cost, err error) {
	in := make(chan int)
	out, err := r.open(ctx, Inc, in)
	if err != nil {
		return cost, err
	}
	send := func(items int) error {
		for i := range items {
			in <- i
			if result := <-out; result.Err != nil || result.Value != i+1 {
				return fmt.Errorf("item %d: got %d, %w", i, result.Value, result.Err)
			}
			if err := work.Pause(ctx, 5*time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	}
	if err := send(items / 10); err != nil { // the first ones make the stage known
		return cost, err
	}
	cost, err = r.beyond(ctx, items, func() error { return send(items) })
	close(in)
	return cost, err
}

// FlowCost is that of a flow that is made, has one item and ends.
func (r Running) FlowCost(ctx context.Context) (Cost, error) {
	return r.beyond(ctx, flows, func() error {
		for range flows {
			if err := r.oneItem(ctx); err != nil {
				return err
			}
		}
		return work.Pause(ctx, time.Second) // the last flow is deleted
	})
}

// FlowsCost is that of a flow of one item while many are made at the same time. perSecond is the number of
// flows that were made and have ended in a second.
func (r Running) FlowsCost(ctx context.Context) (cost Cost, perSecond float64, err error) {
	began := time.Now()
	cost, err = r.beyond(ctx, atOnce*flowsOne, func() error {
		var group errgroup.Group
		for range atOnce {
			group.Go(func() error {
				for range flowsOne {
					if err := r.oneItem(ctx); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return group.Wait()
	})
	return cost, atOnce * flowsOne / time.Since(began).Seconds(), err
}

// JoinCost is that of a worker that joins.
func (r Running) JoinCost(ctx context.Context) (cost Cost, err error) {
	ctx, stop := context.WithCancel(ctx)
	var more errgroup.Group
	cost, err = r.beyond(ctx, joins, func() error {
		for range joins {
			if err := r.join(ctx, r.Server, &more); err != nil {
				return err
			}
		}
		return work.Pause(ctx, time.Second)
	})
	stop()
	return cost, errors.Join(err, more.Wait())
}

// HotCost is that of an item in flows of f that keep all workers busy. perSecond is the number of items that
// all flows delivered in a second.
func (r Running) HotCost(ctx context.Context, f workers.Func[int, int], flows, items int) (cost Cost, perSecond float64, err error) {
	var group errgroup.Group
	began := time.Now()
	cost, err = r.beyond(ctx, flows*items, func() error {
		for range flows {
			in := make(chan int, 64)
			out, err := r.open(ctx, f, in)
			if err != nil {
				return err
			}
			group.Go(func() error {
				defer close(in)
				for i := range items {
					in <- i
				}
				return nil
			})
			group.Go(func() error { return inOrder(out, items) })
		}
		return group.Wait()
	})
	return cost, float64(flows*items) / time.Since(began).Seconds(), err
}

// inOrder reads all results of a flow.
func inOrder(out <-chan bridge.Result[int], items int) (err error) {
	i := 0
	for result := range out {
		if err == nil && (result.Err != nil || result.Value != i+1) {
			err = fmt.Errorf("item %d: got %d, %w", i, result.Value, result.Err)
		}
		i++
	}
	if err == nil && i != items {
		err = fmt.Errorf("%d results of %d", i, items)
	}
	return err
}

func (r Running) open(ctx context.Context, f workers.Func[int, int], in <-chan int) (<-chan bridge.Result[int], error) {
	q, err := bridge.Scatter(ctx, r.Executor, in)
	if err != nil {
		return nil, err
	}
	if q, err = executor.Map(ctx, f, q); err != nil {
		return nil, err
	}
	return bridge.Gather(ctx, q)
}

// oneItem runs a flow of one item and deletes it.
func (r Running) oneItem(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := make(chan int, 1)
	in <- 1
	close(in)
	q, err := bridge.Scatter(ctx, r.Executor, in)
	if err != nil {
		return err
	}
	doubled, err := executor.Map(ctx, Inc, q)
	if err != nil {
		return err
	}
	out, err := bridge.Gather(ctx, doubled)
	if err != nil {
		return err
	}
	for result := range out {
		if result.Err != nil {
			return result.Err
		}
	}
	if err := q.Delete(ctx); !errors.Is(err, executor.ErrQueueNotFound) { // it goes by itself soon after its end
		return err
	}
	return nil
}
