package rows

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// A Packing is the encoding of items in an entry.
type Packing[T any] struct {
	Items   int // of an entry
	Entries int // of a round trip
	Pack    func(dst []byte, items []T) ([]byte, error)
	Unpack  func(dst []T, data []byte) ([]T, error)
}

// A Hand is a pipeline written by hand with go-redis: a stream and a group before each stage and
// behind the last one, and one reader for each, which keeps the order. It has no failures, no
// recovery, no bounds and no end. Each reader and writer has a connection.
type Hand[T any] struct {
	packing Packing[T]
	stages  []func(T) T
	clients []*redis.Client // producer, stages, consumer
	streams []string
}

// user code: begin

// NewHand makes the streams.
func NewHand[T any](ctx context.Context, s *redisd.Server, p Packing[T], stages ...func(T) T) (*Hand[T], error) {
	h := &Hand[T]{packing: p, stages: stages, clients: []*redis.Client{s.Open()}}
	for i := range len(stages) + 1 {
		h.clients = append(h.clients, s.Open())
		h.streams = append(h.streams, "hand"+string(rune('a'+i)))
		if err := h.clients[0].XGroupCreateMkStream(ctx, h.streams[i], "w", "0").Err(); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	return h, nil
}

// Close closes the connections.
func (h *Hand[T]) Close() (err error) {
	for _, c := range h.clients {
		err = errors.Join(err, c.Close())
	}
	return err
}

// Add is one round trip of entries into the first stream.
func (h *Hand[T]) Add(ctx context.Context, entries ...[]T) error {
	_, err := h.clients[0].Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, items := range entries {
			if err := h.add(ctx, p, 0, items); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

func (h *Hand[T]) add(ctx context.Context, p redis.Pipeliner, stream int, items []T) error {
	data, err := h.packing.Pack(nil, items)
	if err != nil {
		return err
	}
	return p.XAdd(ctx, &redis.XAddArgs{Stream: h.streams[stream], Values: []any{"p", data}}).Err()
}

// Produce sends all available entries in one round trip.
func (h *Hand[T]) Produce(ctx context.Context, entries <-chan []T) error {
	for items := range entries {
		ready := [][]T{items}
		for len(ready) < h.packing.Entries && len(entries) > 0 {
			ready = append(ready, <-entries)
		}
		if err := h.Add(ctx, ready...); err != nil {
			return err
		}
	}
	return nil
}

// Stage reads one stream and writes the next one. A second round trip writes the results of a read
// and acknowledges it.
func (h *Hand[T]) Stage(ctx context.Context, from int) error {
	c, f := h.clients[from+1], h.stages[from]
	var items []T
	for {
		messages, err := h.read(ctx, c, from)
		if err != nil {
			return err
		}
		_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, m := range messages {
				if items, err = h.unpack(items[:0], m); err != nil {
					return err
				}
				for i, x := range items {
					items[i] = f(x)
				}
				if err := h.add(ctx, p, from+1, items); err != nil {
					return err
				}
			}
			h.acknowledge(ctx, p, from, messages)
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// Consume calls take with the items of each entry of the last stream.
func (h *Hand[T]) Consume(ctx context.Context, take func([]T) error) error {
	last := len(h.stages)
	c := h.clients[last+1]
	var items []T
	for {
		messages, err := h.read(ctx, c, last)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if items, err = h.unpack(items[:0], m); err != nil {
				return err
			}
			if err := take(items); err != nil {
				return err
			}
		}
		if _, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			h.acknowledge(ctx, p, last, messages)
			return nil
		}); err != nil {
			return err
		}
	}
}

func (h *Hand[T]) unpack(dst []T, m redis.XMessage) ([]T, error) {
	text, _ := m.Values["p"].(string)
	return h.packing.Unpack(dst, []byte(text))
}

// read blocks until a stream has an entry.
func (h *Hand[T]) read(ctx context.Context, c *redis.Client, stream int) ([]redis.XMessage, error) {
	for {
		streams, err := c.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: "w", Consumer: "c", Streams: []string{h.streams[stream], ">"},
			Count: int64(h.packing.Entries), Block: handBlock,
		}).Result()
		switch {
		case errors.Is(err, redis.Nil) && ctx.Err() == nil:
		case err != nil:
			return nil, err
		default:
			return streams[0].Messages, nil
		}
	}
}

func (h *Hand[T]) acknowledge(ctx context.Context, p redis.Pipeliner, stream int, messages []redis.XMessage) {
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	p.XAck(ctx, h.streams[stream], "w", ids...)
	p.XDel(ctx, h.streams[stream], ids...)
}

// Collect makes full entries of items, and a smaller one if the producer is idle.
func (h *Hand[T]) Collect(in <-chan T, entries chan<- []T) {
	defer close(entries)
	items := make([]T, 0, h.packing.Items)
	for x := range in {
		if items = append(items, x); len(items) == h.packing.Items || len(in) == 0 && len(entries) == 0 {
			entries <- items
			items = make([]T, 0, h.packing.Items)
		}
	}
	if len(items) > 0 {
		entries <- items
	}
}

// Channels runs the pipeline between two channels until end.
func (h *Hand[T]) Channels(ctx context.Context) (chan<- T, <-chan T, func() error) {
	group, ctx, end := work.Crew(ctx)
	in, out := make(chan T, work.Capacity), make(chan T, work.Capacity)
	entries := make(chan []T, h.packing.Entries)
	go h.Collect(in, entries)
	group.Go(func() error { return h.Produce(ctx, entries) })
	for i := range h.stages {
		group.Go(func() error { return h.Stage(ctx, i) })
	}
	group.Go(func() error {
		defer close(out)
		return h.Consume(ctx, func(items []T) error {
			for _, x := range items {
				if err := work.Give(ctx, out, x); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return in, out, end
}

// user code: end

const handBlock = time.Second
