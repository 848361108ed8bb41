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
	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/workers"
)

func payloadTargets() []Target {
	return []Target{
		{Name: "strings", What: "strings of 100 bytes, against by hand", Want: 0.7, Unit: "x", measure: overHand(300_000, aString, func(i int, v string) bool { return v == aString(i) })},
		{Name: "structs", What: "structs of ten fields, against by hand", Want: 0.7, Unit: "x", measure: overHand(100_000, aRecord, isRecord)},
		{Name: "1mib", What: "items of 1 MiB through one stage, against SET and GET", Want: 0.6, Unit: "x", measure: largeItems(1)},
		{Name: "1mib-bare", What: "items of 1 MiB from scatter to gather, against SET and GET", Want: 0.6, Unit: "x", measure: largeItems(0)},
	}
}

// A record has ten fields.
type record struct {
	ID       int      `json:"id"`
	Name     string   `json:"name"`
	Mail     string   `json:"mail"`
	Amount   float64  `json:"amount"`
	Count    int      `json:"count"`
	Paid     bool     `json:"paid"`
	Country  string   `json:"country"`
	Tags     []string `json:"tags"`
	Created  int64    `json:"created"`
	Previous *int     `json:"previous"`
}

func aRecord(i int) record {
	return record{
		ID: i, Name: "Ada Lovelace", Mail: "ada@example.org", Amount: float64(i) / 4, Count: i % 7, Paid: i%2 == 0,
		Country: "GB", Tags: []string{"new", "post"}, Created: 1_700_000_000 + int64(i), Previous: &i,
	}
}

func isRecord(i int, v record) bool {
	return v.ID == i && v.Amount == float64(i)/4 && len(v.Tags) == 2
}

func aString(i int) string { return fmt.Sprintf("%0100d", i) }

// overHand compares two stages that change nothing with the same by hand, from channel to channel,
// in the same encoding, 256 items an entry.
func overHand[T any](n int, item func(int) T, is func(int, T) bool) figure {
	return func(ctx context.Context, r *run) (float64, string, error) {
		f := flow.Flow[T]{
			N: n, Item: item, Stages: []workers.Func[T, T]{flow.Same[T]("one"), flow.Same[T]("two")},
			Check: func(i int, v T) error {
				if !is(i, v) {
					return fmt.Errorf("result %d is %+v", i, v)
				}
				return nil
			},
		}
		medians, err := r.Turns(
			func() (float64, error) { return measure.Dqbridge[T](r.Runner, slots).Rate(ctx, f) },
			func() (float64, error) { return flow.ByHand[T](r.Server, 256, 64).Rate(ctx, f) },
		)
		return medians[0] / medians[1], fmt.Sprintf("%s items/s over %s", report.Thousands(medians[0]), report.Thousands(medians[1])), err
	}
}

const (
	large      = 1 << 20
	largeItem  = 300
	largeAhead = 8 // items of a round trip of SETs and GETs
)

// largeItems compares the rate with that of SETs and GETs of the same items. A stage sets and gets
// each item once more. So the note has the rate of SETs and GETs alone that do the same, with a
// goroutine for each reader and writer.
func largeItems(stages int) figure {
	return func(ctx context.Context, r *run) (float64, string, error) {
		items := make([][]byte, 16)
		for i := range items {
			items[i] = work.Bytes(i, large)
		}
		f := flow.Flow[[]byte]{
			N: largeItem, Buffer: 4, Item: func(i int) []byte { return items[i%len(items)] },
			Check:  func(i int, b []byte) error { return work.CheckBytes(b, i%len(items), large) },
			Stages: slices.Repeat([]workers.Func[[]byte, []byte]{flow.Same[[]byte]("keep")}, stages),
		}
		medians, err := r.Turns(
			func() (float64, error) { return measure.Dqbridge[[]byte](r.Runner, slots).Rate(ctx, f) },
			func() (float64, error) { return moved(ctx, r, items, inTurns) },
			func() (float64, error) { return moved(ctx, r, items, hops(1+stages)) },
		)
		return medians[0] / medians[1], fmt.Sprintf("%.0f MiB/s over %.0f; SETs and GETs alone, as often as here and all at once, reach %.2f",
			medians[0], medians[1], medians[2]/medians[1]), err
	}
}

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
