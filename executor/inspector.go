package executor

import (
	"context"
	"fmt"
	"iter"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/handle"
)

// An Inspector lists queues, stages, workers, functions and dead letters. An Executor is an
// Inspector as well. The one from NewInspector only reads, so that a Redis user without the
// permission to change a key is enough. All methods may be called from many goroutines. After Close
// they return ErrClosed. If no process of the namespace is alive, the lists of workers and functions
// take up to a lease.
type Inspector interface {
	// Functions lists the functions of the live workers, see Executor.Functions.
	Functions(ctx context.Context) ([]inspect.Function, error)
	// Workers lists the live workers, see Executor.Workers.
	Workers(ctx context.Context) ([]inspect.Worker, error)
	// Queues lists all queues, see Executor.Queues.
	Queues(ctx context.Context) ([]inspect.Queue, error)
	// Stages lists all stages, see Executor.Stages.
	Stages(ctx context.Context) ([]inspect.Stage, error)
	// Sources lists the sources of all queues, see Executor.Sources.
	Sources(ctx context.Context) ([]inspect.Source, error)
	// Errors lists the failures of all stages in groups, see Executor.Errors.
	Errors(ctx context.Context) ([]inspect.ErrorGroup, error)
	// Where says where an item is, see Executor.Where.
	Where(ctx context.Context, source string, offset int64) ([]inspect.Location, error)
	// Peek reads items of a queue without taking them, see Executor.Peek.
	Peek(ctx context.Context, queue, from string, count int) (inspect.Page, error)
	// Server reads the state of the Redis server, see Executor.Server.
	Server(ctx context.Context) (inspect.Server, error)
	// Snapshot reads all of these at once, see Executor.Snapshot.
	Snapshot(ctx context.Context) (inspect.Snapshot, error)
	// History reads the past work on a stage, see Executor.History.
	History(ctx context.Context, stage string) (inspect.History, error)
	// EndedFlows lists the last flows that have gone, see Executor.EndedFlows.
	EndedFlows(ctx context.Context) ([]inspect.EndedFlow, error)
	// MarkWatched makes the workers show the call of each slot, see Executor.MarkWatched.
	MarkWatched(ctx context.Context) error
	// DeadLetters yields the dead letters, see Executor.DeadLetters.
	DeadLetters(ctx context.Context) iter.Seq2[DeadLetter, error]
	// DeadLetterItems returns the encoded items of a dead letter, see Executor.DeadLetterItems.
	DeadLetterItems(ctx context.Context, id string) ([][]byte, error)
	// Close ends the connection, and all calls that are under way.
	Close() error
}

var (
	_ Inspector         = (*Executor)(nil)
	_ handle.Connection = observer{}
)

// NewInspector connects to the Redis at an address, and changes no key there. The form of the
// address, the errors and the meaning of ctx are those of New, with one exception: an empty address
// is ErrInvalidURL, since no other process can use an embedded broker. The caller closes the
// Inspector.
func NewInspector(ctx context.Context, redisURL string, opts ...Option) (Inspector, error) {
	if ctx == nil {
		return nil, fmt.Errorf("new inspector: %w", errNoContext)
	}
	s, err := settingsOf("new inspector", opts)
	if err != nil {
		return nil, err
	}
	c, err := s.Connection.Connect(ctx, redisURL)
	if err != nil {
		return nil, err
	}
	return observer{inspector{c.Partitions(), s.Connection.Lease, new(lifecycle)}}, nil
}

// Close ends the connection. A second Close returns nil at once.
func (i inspector) Close() error {
	if !i.tasks.close() {
		return nil
	}
	return i.parts[0].Close()
}

// An observer is what NewInspector returns. Package operate uses its further methods.
type observer struct{ inspector }

// Partitions returns the clients of the partitions, see handle.Connection.
func (o observer) Partitions(handle.Key) []*broker.Client { return o.parts }

// Begin starts a call, see handle.Connection.
func (o observer) Begin(ctx context.Context, _ handle.Key, call string) (bound context.Context, end func(*error), err error) {
	return o.tasks.begin(ctx, call)
}

// RetryDeadLetter retries a dead letter, see handle.Connection.
func (o observer) RetryDeadLetter(ctx context.Context, _ handle.Key, id, queue string) (*broker.Client, broker.DeadLetter, error) {
	return o.retryDeadLetter(ctx, id, queue)
}

// DeleteDeadLetter deletes a dead letter, see handle.Connection.
func (o observer) DeleteDeadLetter(ctx context.Context, _ handle.Key, id string) (*broker.Client, broker.DeadLetter, error) {
	return o.deleteDeadLetter(ctx, id)
}
