package executor

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/logging"
)

// An Observer lists what there is. It only reads, so that a Redis user who may
// change nothing is enough for it. Its methods can be called from many
// goroutines. Close it.
type Observer struct{ lists }

// Observe connects to the Redis at an address, see New, and joins nothing.
func Observe(ctx context.Context, redisURL string, opts ...Option) (*Observer, error) {
	s := settings{lease: defaultLease, log: logging.Default()}
	for _, o := range opts {
		if err := o(&s); err != nil {
			return nil, err
		}
	}
	s.connection.Log = s.log
	c, err := broker.Open(redisURL, s.connection)
	if err != nil {
		return nil, err
	}
	if err = c.Connect(ctx, pingLimit); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &Observer{lists{c.Partitions(), s.lease}}, nil
}

// Close ends the connection.
func (o *Observer) Close() error { return o.parts[0].Close() }

// lists reads what there is; an Executor and an Observer have it.
type lists struct {
	parts  []*broker.Client // the partitions; workers join each
	recent time.Duration    // a process that has beaten since then lives
}
