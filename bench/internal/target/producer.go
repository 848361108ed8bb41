package target

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

const (
	// senders are concurrent. Each sends its next item after the last one is stored.
	senders = 64
	// sentItems are those of a run.
	sentItems = 300_000
)

func producerTargets() []Target {
	return []Target{
		{Name: "producer", What: "items confirmed to 64 concurrent senders", Want: 100_000, Unit: "items/s", measure: confirmed},
		{Name: "producer-commands", What: "commands sent for one item of these", Want: 0.1, Most: true, Unit: "commands", measure: confirmedCommands},
	}
}

// confirmed compares a Producer with two programs by hand: a command for each item, and a pipeline
// with a command of each sender.
func confirmed(ctx context.Context, r *run) (float64, string, error) {
	medians, err := r.Turns(
		func() (float64, error) { return produced(ctx, r) },
		func() (float64, error) { return added(ctx, r) },
		func() (float64, error) { return pipelined(ctx, r) },
	)
	return medians[0], fmt.Sprintf("an XADD for each item reaches %s, pipelines of %d of them %s items/s: %.2f and %.2f of these",
		report.Thousands(medians[1]), senders, report.Thousands(medians[2]), medians[0]/medians[1], medians[0]/medians[2]), err
}

// confirmedCommands counts the commands of a Producer, which are scripts.
func confirmedCommands(ctx context.Context, r *run) (float64, string, error) {
	used, err := r.Server.Used(ctx, func() error {
		_, err := produced(ctx, r)
		return err
	})
	used = used.Over(sentItems)
	return used.Scripts, fmt.Sprintf("with those that the scripts run %.2f, and %.2f us of Redis", used.Commands, used.CPU*1e6), err
}

// concurrently calls send for n items and returns the items a second.
func concurrently(ctx context.Context, n int, send func(ctx context.Context, i int) error) (rate float64, err error) {
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

func produced(ctx context.Context, r *run) (rate float64, err error) {
	err = r.Fresh(ctx, 1, nil, func(ctx context.Context, ex *executor.Executor) error {
		p, err := bridge.NewProducer[int](ctx, ex)
		if err != nil {
			return err
		}
		rate, err = concurrently(ctx, sentItems, p.Send)
		return errors.Join(err, p.Close())
	})
	return rate, err
}

func added(ctx context.Context, r *run) (rate float64, err error) {
	client := r.Server.Open()
	defer func() { err = errors.Join(err, client.Close(), r.Server.Flush(ctx)) }()
	return concurrently(ctx, 50_000, func(ctx context.Context, i int) error { return add(ctx, client, i).Err() })
}

func pipelined(ctx context.Context, r *run) (rate float64, err error) {
	client := r.Server.Open()
	defer func() { err = errors.Join(err, client.Close(), r.Server.Flush(ctx)) }()
	begin := time.Now()
	for from := 0; from < sentItems; from += senders {
		if _, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range senders {
				add(ctx, p, from+i)
			}
			return nil
		}); err != nil {
			return 0, err
		}
	}
	return sentItems / time.Since(begin).Seconds(), nil
}

func add(ctx context.Context, c redis.Cmdable, i int) *redis.StringCmd {
	return c.XAdd(ctx, &redis.XAddArgs{Stream: "added", Values: []string{"x", strconv.Itoa(i)}})
}
