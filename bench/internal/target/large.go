package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	large      = 1 << 20
	largeItem  = 300
	largeAhead = 8 // of a round trip of plain SETs and GETs
)

// largeItems compares the bytes per second with plain pipelined SETs and GETs of the same items. A
// stage must GET and SET them once more; the note has the rate of these calls alone, with one
// goroutine for each hop.
func largeItems(ctx context.Context, r *run, stages int) (float64, string, error) {
	keep := flow.Same[[]byte]("keep")
	items := make([][]byte, 16)
	for i := range items {
		items[i] = work.Bytes(i, large)
	}
	f := flow.Flow[[]byte]{
		N: largeItem, Ahead: 4, Item: func(i int) []byte { return items[i%len(items)] },
		Check:  func(i int, b []byte) error { return work.CheckBytes(b, i%len(items), large) },
		Stages: slices.Repeat([]workers.Func[[]byte, []byte]{keep}, stages),
	}
	medians, err := r.Turns(
		func() (rate float64, err error) {
			err = r.Fresh(ctx, hands, []workers.Function{keep}, func(ctx context.Context, ex *executor.Executor) error {
				took, err := f.On(ctx, ex, func() {})
				rate = largeItem / took.Seconds()
				return err
			})
			return rate, err
		},
		func() (float64, error) { return moved(ctx, r, items, inTurns) },
		func() (float64, error) { return moved(ctx, r, items, hops(1+stages)) },
	)
	if err != nil {
		return 0, "", err
	}
	return medians[0] / medians[1], fmt.Sprintf("%.0f MiB/s over %.0f; SETs and GETs alone, as often as here and all at once, reach %.2f",
		medians[0], medians[1], medians[2]/medians[1]), nil
}

// moved returns the rate at which f moves the items.
func moved(ctx context.Context, r *run, items [][]byte, f func(context.Context, *mover) error) (rate float64, err error) {
	m := &mover{r.Server.Open(), items}
	defer func() { err = errors.Join(err, m.client.Close(), r.Server.Flush(ctx)) }()
	begin := time.Now()
	if err := f(ctx, m); err != nil {
		return 0, err
	}
	return largeItem / time.Since(begin).Seconds(), nil
}

// A mover makes round trips with some items each.
type mover struct {
	client *redis.Client
	items  [][]byte
}

// inTurns sets and gets items, one after the other.
func inTurns(ctx context.Context, m *mover) error {
	for from := 0; from < largeItem; from += largeAhead {
		if err := m.set(ctx, 0, from, m.ahead(from)); err != nil {
			return err
		}
		if _, err := m.get(ctx, 0, from); err != nil {
			return err
		}
	}
	return nil
}

// hops sets items in one goroutine, gets and sets them again in some others, and gets them in the
// last one.
func hops(n int) func(context.Context, *mover) error {
	return func(ctx context.Context, m *mover) error {
		group, ctx := errgroup.WithContext(ctx)
		there := make([]chan int, n) // offsets of the items that are set
		for i := range there {
			there[i] = make(chan int, 1)
		}
		group.Go(func() error {
			defer close(there[0])
			for from := 0; from < largeItem; from += largeAhead {
				if err := m.hand(ctx, there[0], 0, from, m.ahead(from)); err != nil {
					return err
				}
			}
			return nil
		})
		for hop := range n {
			group.Go(func() error {
				if hop+1 < n {
					defer close(there[hop+1])
				}
				for from := range there[hop] {
					items, err := m.get(ctx, hop, from)
					if err == nil && hop+1 < n {
						err = m.hand(ctx, there[hop+1], hop+1, from, items)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		return group.Wait()
	}
}

// hand sets items and signals the next goroutine.
func (m *mover) hand(ctx context.Context, there chan<- int, hop, from int, items [][]byte) error {
	if err := m.set(ctx, hop, from, items); err != nil {
		return err
	}
	select {
	case there <- from:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ahead returns the items of a round trip.
func (m *mover) ahead(from int) [][]byte {
	all := make([][]byte, min(largeAhead, largeItem-from))
	for i := range all {
		all[i] = m.items[(from+i)%len(m.items)]
	}
	return all
}

// key returns the key of an item until it is moved on; it is used again for later items.
func (m *mover) key(hop, i int) string { return fmt.Sprint("k", hop, "-", i%(8*largeAhead)) }

func (m *mover) set(ctx context.Context, hop, from int, items [][]byte) error {
	_, err := m.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, item := range items {
			p.Set(ctx, m.key(hop, from+i), item, 0)
		}
		return nil
	})
	return err
}

func (m *mover) get(ctx context.Context, hop, from int) ([][]byte, error) {
	got, err := m.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range m.ahead(from) {
			p.Get(ctx, m.key(hop, from+i))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	items := make([][]byte, len(got))
	for i, cmd := range got {
		if items[i], err = cmd.(*redis.StringCmd).Bytes(); err == nil {
			err = work.CheckBytes(items[i], (from+i)%len(m.items), large)
		}
		if err != nil {
			return nil, err
		}
	}
	return items, nil
}
