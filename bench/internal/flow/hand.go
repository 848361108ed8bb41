package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
)

// A Hand is the same pipeline written by hand: from channel to channel, in the same encoding, with
// Items items in each entry.
type Hand[T any] struct {
	Flow[T]
	Items, Entries int
	Stages         int // stages that return their input
}

func (h Hand[T]) with(ctx context.Context, s *redisd.Server, f func(in chan<- T, out <-chan T) error) (err error) {
	packing, err := rows.Encoded[T](h.Items, h.Entries)
	if err != nil {
		return err
	}
	stages := make([]func(T) T, h.Stages)
	for i := range stages {
		stages[i] = func(v T) T { return v }
	}
	by, err := rows.NewHand(ctx, s, packing, stages...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, by.Close(), s.Flush(ctx)) }()
	in, out, end := by.Channels(ctx)
	return errors.Join(f(in, out), end())
}

// On runs the pipeline to its end.
func (h Hand[T]) On(ctx context.Context, s *redisd.Server) (took time.Duration, err error) {
	return took, h.with(ctx, s, func(in chan<- T, out <-chan T) error {
		begin := time.Now()
		go h.feed(ctx, in)
		for i := range h.N {
			v, more := <-out
			if !more {
				return fmt.Errorf("by hand, %d results for %d items", i, h.N)
			}
			if err := h.Check(i, v); err != nil {
				return err
			}
		}
		took = time.Since(begin)
		return nil
	})
}

// Trips sends one item at a time.
func (h Hand[T]) Trips(ctx context.Context, s *redisd.Server, limit time.Duration) (took []time.Duration, err error) {
	return took, h.with(ctx, s, func(in chan<- T, out <-chan T) error {
		defer close(in)
		took, err = trips(h.Flow, in, func() (v T, err error) {
			v, more := <-out
			if !more {
				return v, errors.New("by hand, the results ended before their time")
			}
			return v, nil
		}, limit)
		return err
	})
}
