package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9" //nolint:depguard // the pipeline by hand has nothing between it and Redis
	"golang.org/x/sync/errgroup"
)

// The pipeline as it is written by hand for one purpose: three streams with a
// group each, a reader a stage, so that order comes by itself. It knows no
// other type, no failure, no crash, no bound and no end.

const (
	handItems   = 256 // ints of an entry
	handEntries = 64  // of a round trip
	handBlock   = 100 * time.Millisecond
)

var handStreams = []string{"hand0", "hand1", "hand2"}

// hand is one set of streams, with a connection for each who reads or writes.
type hand struct {
	clients []*redis.Client // producer, two stages, consumer
}

func newHand(ctx context.Context, s *server) (*hand, error) {
	h := &hand{}
	for range len(handStreams) + 1 {
		h.clients = append(h.clients, s.open())
	}
	for _, stream := range handStreams {
		if err := h.clients[0].XGroupCreateMkStream(ctx, stream, "w", "0").Err(); err != nil {
			return nil, errors.Join(err, h.close(ctx))
		}
	}
	return h, nil
}

func (h *hand) close(ctx context.Context) error {
	err := h.clients[0].Del(ctx, handStreams...).Err()
	for _, c := range h.clients {
		err = errors.Join(err, c.Close())
	}
	return err
}

// pipeline moves n ints, 256 to an entry.
func (h *hand) pipeline(ctx context.Context, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.produce(ctx, n) })
	group.Go(func() error { return h.stage(ctx, 0, n, func(x int) int { return x + 1 }) })
	group.Go(func() error { return h.stage(ctx, 1, n, func(x int) int { return 2 * x }) })
	group.Go(func() error { return h.consume(ctx, n) })
	return group.Wait()
}

func (h *hand) produce(ctx context.Context, n int) error {
	for next := 0; next < n; {
		_, err := h.clients[0].Pipelined(ctx, func(p redis.Pipeliner) error {
			for range handEntries {
				if next == n {
					break
				}
				k := min(handItems, n-next)
				buf := make([]byte, 0, 8*k)
				for i := range k {
					buf = binary.LittleEndian.AppendUint64(buf, uint64(next+i))
				}
				next += k
				p.XAdd(ctx, &redis.XAddArgs{Stream: handStreams[0], Values: []any{"p", buf}})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// stage reads one stream and writes the next one: what a round trip of its
// brought goes with one more, together with its acknowledgement.
func (h *hand) stage(ctx context.Context, from, n int, f func(int) int) error {
	c := h.clients[from+1]
	for done := 0; done < n; {
		messages, err := h.read(ctx, c, from)
		if err != nil || len(messages) == 0 {
			return err
		}
		_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, m := range messages {
				text, _ := m.Values["p"].(string)
				buf := []byte(text)
				for at := 0; at < len(buf); at += 8 {
					x := int(binary.LittleEndian.Uint64(buf[at:]))
					binary.LittleEndian.PutUint64(buf[at:], uint64(f(x)))
				}
				done += len(buf) / 8
				p.XAdd(ctx, &redis.XAddArgs{Stream: handStreams[from+1], Values: []any{"p", buf}})
			}
			acknowledge(ctx, p, handStreams[from], messages)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *hand) consume(ctx context.Context, n int) error {
	last := len(handStreams) - 1
	c := h.clients[last+1]
	for next := 0; next < n; {
		messages, err := h.read(ctx, c, last)
		if err != nil {
			return err
		}
		for _, m := range messages {
			text, _ := m.Values["p"].(string)
			buf := []byte(text)
			for at := 0; at < len(buf); at += 8 {
				if err := check(next, int(binary.LittleEndian.Uint64(buf[at:]))); err != nil {
					return fmt.Errorf("by hand: %w", err)
				}
				next++
			}
		}
		if _, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			acknowledge(ctx, p, handStreams[last], messages)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// read waits until a stream has something.
func (h *hand) read(ctx context.Context, c *redis.Client, stream int) ([]redis.XMessage, error) {
	for {
		streams, err := c.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: "w", Consumer: "c", Streams: []string{handStreams[stream], ">"}, Count: handEntries, Block: handBlock,
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

func acknowledge(ctx context.Context, p redis.Pipeliner, stream string, messages []redis.XMessage) {
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	p.XAck(ctx, stream, "w", ids...)
	p.XDel(ctx, stream, ids...)
}

// singles sends n ints, each when the one before has come out at the end, and
// tells how long each took.
func (h *hand) singles(ctx context.Context, n int) (took []time.Duration, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.stage(ctx, 0, n, func(x int) int { return x + 1 }) })
	group.Go(func() error { return h.stage(ctx, 1, n, func(x int) int { return 2 * x }) })
	group.Go(func() error {
		last := len(handStreams) - 1
		for i := range n {
			begin := time.Now()
			buf := binary.LittleEndian.AppendUint64(nil, uint64(i))
			if err := h.clients[0].XAdd(ctx, &redis.XAddArgs{Stream: handStreams[0], Values: []any{"p", buf}}).Err(); err != nil {
				return err
			}
			messages, err := h.read(ctx, h.clients[last+1], last)
			if err != nil {
				return err
			}
			took = append(took, time.Since(begin))
			text, _ := messages[0].Values["p"].(string)
			if err := check(i, int(binary.LittleEndian.Uint64([]byte(text)))); err != nil {
				return fmt.Errorf("by hand: %w", err)
			}
			if _, err := h.clients[last+1].Pipelined(ctx, func(p redis.Pipeliner) error {
				acknowledge(ctx, p, handStreams[last], messages)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	err = group.Wait()
	return took, err
}
