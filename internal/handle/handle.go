// Package handle lets the packages bridge, operate and tracing use the private parts of package executor. A method that takes
// a Key is internal: a program outside of this module cannot make a Key.
package handle

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/worker"
)

// A Key is the argument of an internal method.
type Key struct{}

// Settings are set by the options of an Executor or an Inspector.
type Settings struct {
	Connection  connection.Settings
	Concurrency int                           // slots of this process
	Worker      []func(*worker.Options) error // further options of the worker in this process
}

// A Queue is the internal side of a queue with items of type T, for executors of type E.
type Queue[E, T any] interface {
	// Scatter makes the queue that the options describe, or finds it, and makes a source of it.
	// The queue, which is a zero value before, becomes a handle for it. The source lives until the
	// feed is released, at most as long as the context that Scatter returns.
	Scatter(ctx context.Context, ex E, items codec.Typed[T], o producer.Options) (*producer.Feed, context.Context, error)
	// Gather makes a receiver the one consumer of the queue. The receiver lives until release is
	// called with the reason, at most as long as the context that Gather returns.
	Gather(ctx context.Context, o consumer.ReceiverOptions) (r *consumer.Receiver, bound context.Context, release func(error), err error)
	// Private returns the name of the queue of the results of the scatter that returned the queue, "" if they
	// are not private.
	Private() string
	// Codec returns the codec of the items.
	Codec() codec.Typed[T]
}

// A Connection is the internal side of an Inspector.
type Connection interface {
	// Partitions returns the clients of all partitions.
	Partitions(Key) []*broker.Client
	// Begin starts a call, which its errors name. The context that it returns ends with ctx and with
	// the Inspector. Defer end with the address of the call's error.
	Begin(ctx context.Context, k Key, call string) (bound context.Context, end func(*error), err error)
	// RetryDeadLetter and DeleteDeadLetter do what those of an Executor do. They return the letter.
	RetryDeadLetter(ctx context.Context, k Key, id, queue string) (*broker.Client, broker.DeadLetter, error)
	DeleteDeadLetter(ctx context.Context, k Key, id string) (*broker.Client, broker.DeadLetter, error)
}
