package lab

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/role"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// An Idle is the cost of an open pipeline without items, per second.
type Idle struct {
	Commands, CPU, RedisCPU float64
}

// idleTime is the duration of that measurement.
const idleTime = 5 * time.Second

// Idle keeps a pipeline open after one item and measures its cost.
func (l *Lab) Idle(ctx context.Context, r rows.Row) (i Idle, err error) {
	l.Say("idle: %s", r.Title)
	return i, l.with(ctx, r, func(pipe work.Caller) error {
		if !r.Bulk {
			if err := pipe.Trip(0); err != nil {
				return err
			}
		}
		before, err := l.Server.Usage(ctx)
		if err != nil {
			return err
		}
		cpu := role.CPU()
		sent, err := l.Server.Sent(ctx, idleTime)
		if err != nil {
			return err
		}
		cpu = role.CPU() - cpu
		after, err := l.Server.Usage(ctx)
		if err != nil {
			return err
		}
		used, seconds := after.Sub(before), idleTime.Seconds()
		i = Idle{sent / seconds, cpu.Seconds() / seconds, used.CPU / seconds}
		return pipe.End()
	})
}

// Queued returns the number of bytes that each of many waiting ints takes, without workers.
func (l *Lab) Queued(ctx context.Context, r rows.Row) (bytes float64, err error) {
	n := max(r.First, 5000)
	l.Say("%d ints queued: %s", n, r.Title)
	before, err := l.Server.Memory(ctx)
	if err != nil {
		return 0, err
	}
	held, err := r.Backlog(ctx, l.Server, n)
	if held.Release != nil {
		defer func() { err = errors.Join(err, held.Release(), l.Server.Flush(ctx)) }()
	}
	if err != nil {
		return 0, err
	}
	if held.Bytes > 0 {
		return held.Bytes / float64(n), nil
	}
	after, err := l.Server.Memory(ctx)
	return (after - before) / float64(n), err
}

// Each applies f to each element.
func Each[T any](list []T, f func(T) float64) []float64 {
	values := make([]float64, len(list))
	for i, v := range list {
		values[i] = f(v)
	}
	return values
}

// Median returns the median of a list.
func Median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Percentile returns a percentile of a sorted list, in milliseconds.
func Percentile(list []time.Duration, p int) float64 {
	return float64(list[min(len(list)*p/100, len(list)-1)]) / float64(time.Millisecond)
}
