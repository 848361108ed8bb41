package target

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// A mover sets and gets large items, several in a round trip.
type mover struct {
	client *redis.Client
	items  [][]byte
}

// moved is the rate of f.
func moved(ctx context.Context, r *run, items [][]byte, f func(context.Context, *mover) error) (rate float64, err error) {
	m := &mover{r.Server.Open(), items}
	defer func() { err = errors.Join(err, m.client.Close(), r.Server.Flush(ctx)) }()
	begin := time.Now()
	if err := f(ctx, m); err != nil {
		return 0, err
	}
	return largeItem / time.Since(begin).Seconds(), nil
}

// inTurns sets and gets in one goroutine.
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

// hops sets in one goroutine, gets and sets again in n-1 goroutines, and gets in the last one.
func hops(n int) func(context.Context, *mover) error {
	return func(ctx context.Context, m *mover) error {
		group, ctx := errgroup.WithContext(ctx)
		ready := make([]chan int, n) // the first item of each round trip
		for i := range ready {
			ready[i] = make(chan int, 1)
		}
		group.Go(func() error {
			defer close(ready[0])
			for from := 0; from < largeItem; from += largeAhead {
				if err := m.pass(ctx, ready[0], 0, from, m.ahead(from)); err != nil {
					return err
				}
			}
			return nil
		})
		for hop := range n {
			group.Go(func() error {
				if hop+1 < n {
					defer close(ready[hop+1])
				}
				for from := range ready[hop] {
					items, err := m.get(ctx, hop, from)
					if err == nil && hop+1 < n {
						err = m.pass(ctx, ready[hop+1], hop+1, from, items)
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

// pass sets items and sends their number to the next goroutine.
func (m *mover) pass(ctx context.Context, ready chan<- int, hop, from int, items [][]byte) error {
	if err := m.set(ctx, hop, from, items); err != nil {
		return err
	}
	return work.Give(ctx, ready, from)
}

// ahead are the items of a round trip.
func (m *mover) ahead(from int) [][]byte {
	list := make([][]byte, min(largeAhead, largeItem-from))
	for i := range list {
		list[i] = m.items[(from+i)%len(m.items)]
	}
	return list
}

// key is used again after eight round trips.
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
