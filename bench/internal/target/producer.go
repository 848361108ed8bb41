package target

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bench/internal/text"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// senders is the number of concurrent senders. Each sends its next item when the last one is
// stored.
const senders = 64

func producerTargets() []Target {
	return []Target{
		{Name: "producer", What: "items confirmed to 64 concurrent senders", Want: 100_000, Unit: "items/s", measure: confirmed},
		{Name: "producer-commands", What: "commands sent for one item of these", Want: 0.1, Most: true, Unit: "commands", measure: confirmedCommands},
	}
}

// A sending stores n items through some senders and returns the items per second.
type sending func(ctx context.Context, r *run, n int) (rate float64, err error)

// confirmed compares a Producer with two programs written by hand: one command for each item, and
// one pipeline of one command for each sender.
func confirmed(ctx context.Context, r *run) (float64, string, error) {
	of := func(send sending, n int) func() (float64, error) {
		return func() (float64, error) { return send(ctx, r, n) }
	}
	medians, err := r.Turns(of(produced, 300_000), of(added, 50_000), of(pipelined, 300_000))
	if err != nil {
		return 0, "", err
	}
	return medians[0], fmt.Sprintf("an XADD for each item reaches %s, pipelines of %d of them %s items/s: %.2f and %.2f of these",
		text.Thousands(medians[1]), senders, text.Thousands(medians[2]), medians[0]/medians[1], medians[0]/medians[2]), nil
}

// confirmedCommands counts the commands of a Producer. All of them are scripts.
func confirmedCommands(ctx context.Context, r *run) (float64, string, error) {
	const n = 300_000
	before, err := r.Server.Usage(ctx)
	if err != nil {
		return 0, "", err
	}
	if _, err := produced(ctx, r, n); err != nil {
		return 0, "", err
	}
	after, err := r.Server.Usage(ctx)
	if err != nil {
		return 0, "", err
	}
	used := after.Sub(before).Over(n)
	return used.Scripts, fmt.Sprintf("with those that the scripts run %.2f, and %.2f us of Redis", used.Commands, used.CPU*1e6), nil
}

// at calls send for each of n items, by all senders in turns.
func at(ctx context.Context, n int, send func(ctx context.Context, i int) error) (rate float64, err error) {
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for first := range senders {
		group.Go(func() error {
			for i := first; i < n; i += senders {
				if err := send(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return float64(n) / time.Since(begin).Seconds(), err
}

func produced(ctx context.Context, r *run, n int) (rate float64, err error) {
	err = r.Fresh(ctx, 1, nil, func(ctx context.Context, ex *executor.Executor) error {
		p, err := bridge.NewProducer[int](ctx, ex)
		if err != nil {
			return err
		}
		rate, err = at(ctx, n, p.Send)
		return errors.Join(err, p.Close())
	})
	return rate, err
}

func added(ctx context.Context, r *run, n int) (rate float64, err error) {
	client := r.Server.Open()
	defer func() { err = errors.Join(err, client.Close(), r.Server.Flush(ctx)) }()
	return at(ctx, n, func(ctx context.Context, i int) error { return add(ctx, client, i).Err() })
}

func pipelined(ctx context.Context, r *run, n int) (rate float64, err error) {
	client := r.Server.Open()
	defer func() { err = errors.Join(err, client.Close(), r.Server.Flush(ctx)) }()
	begin := time.Now()
	for from := 0; from < n; from += senders {
		if _, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range senders {
				add(ctx, p, from+i)
			}
			return nil
		}); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

func add(ctx context.Context, c redis.Cmdable, i int) *redis.StringCmd {
	return c.XAdd(ctx, &redis.XAddArgs{Stream: "added", Values: []string{"x", strconv.Itoa(i)}})
}
