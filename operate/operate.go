// Package operate changes what a fleet does: it pauses stages, cancels items, drains workers, and
// deletes waiting items. Each action is noted with the name of the operator. Package inspect describes
// the stages, items, workers and queues to act on.
package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/handle"
)

// Errors on which callers decide. A missing queue is executor.ErrQueueNotFound, and a missing dead
// letter executor.ErrDeadLetterNotFound.
var (
	// ErrStageNotFound says that no stage has that id, and no queue of that name has a stage.
	ErrStageNotFound = broker.ErrStageNotFound
	// ErrNotPaused says that no operator has paused a stage.
	ErrNotPaused = broker.ErrNotPaused
	// ErrFutures says that a queue holds futures, whose programs wait for them.
	ErrFutures = broker.ErrFutures
	// ErrWorkerNotFound says that no live worker has that id.
	ErrWorkerNotFound = errors.New("no such worker")
	// ErrNotRunning says that no worker runs the item now, or has run it for less than a second.
	ErrNotRunning = errors.New("no worker runs the item")
	// ErrStillRunning says that a function has not ended although its context has.
	ErrStillRunning = errors.New("the function does not return")
	// ErrNoAnswer says that a worker has not done within ten seconds what an operator asked for.
	ErrNoAnswer = errors.New("the worker does not answer")
	// ErrLastHolder says that no other worker has a function of a worker.
	ErrLastHolder = errors.New("no other worker has its function")
)

var (
	errNoOperator = errors.New("the Operator is nil or a zero value: make it with operate.New")
	errNoContext  = errors.New("the context of an act is nil: pass that of the caller, or context.Background()")
)

// An Act says who acts and why. Redis keeps about the last thousand of each partition.
type Act struct {
	By     string // the operator; if it is empty, the user of this process and its host: ann@host
	Reason string // for people; may be empty
}

// An Operator acts on a namespace. All methods may be called from many goroutines. After Close they
// return executor.ErrClosed. An action that was cut short may be repeated.
type Operator struct {
	inspector  executor.Inspector
	connection handle.Connection
}

// New connects to the Redis at an address. Options, errors and the meaning of ctx are those of
// executor.NewInspector. The caller closes the Operator.
func New(ctx context.Context, redisURL string, opts ...executor.Option) (*Operator, error) {
	inspector, err := executor.NewInspector(ctx, redisURL, opts...)
	if err != nil {
		return nil, err
	}
	connection, _ := inspector.(handle.Connection) // NewInspector returns no other type
	return &Operator{inspector, connection}, nil
}

// Inspector returns an Inspector on the connection of the Operator, for reading. Close of the
// Operator closes it.
func (o *Operator) Inspector() executor.Inspector {
	if o == nil {
		return nil
	}
	return o.inspector
}

// Close ends the connection, and all calls that are under way.
func (o *Operator) Close() error {
	if o == nil || o.inspector == nil {
		return errNoOperator
	}
	return o.inspector.Close()
}

// begin starts a call: see handle.Connection.Begin.
func (o *Operator) begin(ctx context.Context, call string) (bound context.Context, end func(*error), err error) {
	switch {
	case o == nil || o.connection == nil:
		return nil, nil, fmt.Errorf("%s: %w", call, errNoOperator)
	case ctx == nil:
		return nil, nil, fmt.Errorf("%s: %w", call, errNoContext)
	}
	return o.connection.Begin(ctx, handle.Key{}, call)
}

func (o *Operator) partitions() []*broker.Client { return o.connection.Partitions(handle.Key{}) }

// noteLimit bounds the note of an act whose context has ended meanwhile.
const noteLimit = 2 * time.Second

// note notes an act on an object, also if ctx has ended: the act is done.
func (a Act) note(ctx context.Context, part *broker.Client, verb, object string, count int64) error {
	if ctx.Err() != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteLimit)
		defer cancel()
		ctx = late
	}
	err := part.Note(ctx, broker.Act{By: a.Name(), Verb: verb, Object: object, Count: count, Reason: a.Reason})
	if err != nil {
		return fmt.Errorf("%s %s: it is done, and could not be noted: %w", verb, object, err)
	}
	return nil
}

// Name returns the name under which the act is noted: By, or that of the user of this process.
func (a Act) Name() string {
	if a.By != "" {
		return a.By
	}
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// Acts returns the last acts of all operators, the latest first: at most limit, which must be above 0.
// It costs one round trip for each partition.
func (o *Operator) Acts(ctx context.Context, limit int) (acts []inspect.Act, err error) {
	ctx, end, err := o.begin(ctx, "acts")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	if limit < 1 {
		return nil, fmt.Errorf("acts: the limit is %d: it must be at least 1", limit)
	}
	acts = []inspect.Act{}
	for _, part := range o.partitions() {
		noted, err := part.Acts(ctx, int64(limit))
		if err != nil {
			return nil, err
		}
		for _, a := range noted {
			acts = append(acts, inspect.Act{
				At: a.At, By: a.By, Verb: a.Verb, Object: a.Object, Count: a.Count, Reason: a.Reason, Partition: part.Index(),
			})
		}
	}
	slices.SortStableFunc(acts, func(a, b inspect.Act) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Partition, b.Partition), strings.Compare(a.Object, b.Object))
	})
	return acts[:min(limit, len(acts))], nil
}
