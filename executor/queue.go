package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// defaultBytes is how many bytes may wait in a queue.
const defaultBytes = 64 << 20

// A Queue is a handle for a remote queue of values of type T. bridge.Scatter, Map and Open return
// one. Copying a Queue does not copy the remote queue. All methods may be called from many
// goroutines.
type Queue[T any] struct {
	part    *partition
	q       broker.Queue
	typed   codec.Typed[T]
	scatter *scatterState // that returned this handle; nil if another call did
	stored  int64         // items of the scatter's source before it began
	private string        // name of the queue of its results, if they are private
}

// Stored returns the number of items that the durable source of the scatter which returned this
// Queue had stored before that scatter began: continue the input behind them. It is 0 for a new
// source, and for a Queue from any other call.
func (q *Queue[T]) Stored() int64 {
	if q == nil {
		return 0
	}
	return q.stored
}

// Open returns the named queue of another call or process. Errors: ErrQueueNotFound if there is no
// queue of that name, ErrTypeMismatch if its items have another type or codec. It costs a round
// trip for each partition that it looks into.
func Open[T any](ctx context.Context, ex *Executor, name string, opts ...OpenOption) (_ *Queue[T], err error) {
	s, err := optionsOf("open", opts, OpenOption.apply)
	if err != nil {
		return nil, err
	}
	ctx, end, err := ex.begin(ctx, "open")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	c, q, err := ex.home.c.Find(ctx, name)
	var part *partition
	if err == nil {
		part, err = ex.partitionOf(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	format := s.codec
	if format == nil {
		format = formats[q.Codec]
	}
	typed, err := codec.For[T](format)
	if err != nil {
		return nil, fmt.Errorf("open queue %q: %w", name, err)
	}
	if !fits(info(q), typed.Info()) {
		return nil, fmt.Errorf("open queue %q: %w: it holds %v and was opened as %v", name, ErrTypeMismatch, info(q), typed.Info())
	}
	return &Queue[T]{part: part, q: q, typed: typed}, nil
}

// formats are the codecs that a queue can name.
var formats = map[string]codec.Codec{"json": codec.JSON, "raw": codec.Raw, "msgpack": codec.MsgPack}

func info(q broker.Queue) codec.Info { return codec.Info{Codec: q.Codec, Type: q.Type} }

func fits(a, b codec.Info) bool { return a == b || a.Wildcard() || b.Wildcard() }

// Name returns the name of the queue, which Open and Executor.Delete take. A queue without a name
// of the user's has a unique one.
func (q *Queue[T]) Name() string {
	if q == nil {
		return ""
	}
	return q.q.Name
}

// Len returns the number of items in the queue that its consumer has not read. It costs one round
// trip. ErrQueueNotFound: the queue was deleted.
func (q *Queue[T]) Len(ctx context.Context) (n int, err error) {
	ctx, end, err := q.begin(ctx, "len")
	if err != nil {
		return 0, err
	}
	defer end(&err)
	backlog, err := q.part.c.Waiting(ctx, q.q.Name)
	return int(backlog.Items), err
}

// Dropped returns the number of items that the overflow policies of scatters have dropped from the
// queue so far, see bridge.Overflow. It costs one round trip. ErrQueueNotFound: the queue was
// deleted.
func (q *Queue[T]) Dropped(ctx context.Context) (n int, err error) {
	ctx, end, err := q.begin(ctx, "dropped")
	if err != nil {
		return 0, err
	}
	defer end(&err)
	found, err := q.part.c.Look(ctx, q.q.Name)
	return int(found.Dropped), err
}

// Seal lets no further source join a named queue. Its stream ends when the sources that have joined
// have ended. It costs one round trip. ErrQueueNotFound: the queue was deleted.
func (q *Queue[T]) Seal(ctx context.Context) (err error) {
	ctx, end, err := q.begin(ctx, "seal")
	if err != nil {
		return err
	}
	defer end(&err)
	return q.part.c.Seal(ctx, q.q.Name)
}

// Done returns a channel that is closed when the scatter that returned this Queue has ended: its
// input and its end are stored in Redis, or it failed, and Err returns the reason. From then on the
// scatter does not read its channel, so a program selects on both:
//
//	select {
//	case in <- v:
//	case <-queue.Done():
//		return queue.Err()
//	}
//
// Done returns nil for a Queue that no scatter returned, such as one from Map or Open.
func (q *Queue[T]) Done() <-chan struct{} {
	if q == nil || q.scatter == nil {
		return nil
	}
	return q.scatter.done
}

// Err returns why the scatter that returned this Queue failed. It returns nil before Done is
// closed, and after a scatter that has stored all its input. Errors: the cause of the end of the
// scatter's context, ErrQueueNotFound if the queue was deleted, ErrFenced if a successor has taken
// over its source, ErrFull if its overflow policy aborts it, ErrClosed.
func (q *Queue[T]) Err() error {
	select {
	case <-q.Done():
		return q.scatter.err
	default:
		return nil
	}
}

// Delete deletes the queue with its items, its sources, and the stages that read it or add to it.
// Functions that run for these stages are canceled. It also deletes the queues without names that
// feed only this queue or that only this queue feeds. A gather and a scatter of a deleted queue end
// with ErrQueueNotFound. Call it for a flow that is not needed any more and does not end by itself:
// a flow with named queues, or one whose contexts live on.
//
// Delete costs a few round trips, and Redis some time for each item that waits. ErrQueueNotFound:
// the queue is gone, or another queue has its name now.
func (q *Queue[T]) Delete(ctx context.Context) (err error) {
	ctx, end, err := q.begin(ctx, "delete")
	if err != nil {
		return err
	}
	defer end(&err)
	found, err := q.part.c.Look(ctx, q.q.Name)
	if err == nil && found.Inc != q.q.Inc {
		err = fmt.Errorf("queue %q: %w: another one has its name now", q.q.Name, ErrQueueNotFound)
	}
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	gone := q.part.flows.end(q.q.Name, errDeleted)
	if len(gone) == 0 { // it has a name of the user's
		gone = []string{q.q.Name}
	}
	return q.part.deleteQueues(ctx, gone)
}

// paths are the roots that the items of a queue come from.
func paths(q broker.Queue) []string {
	if len(q.From) == 0 {
		return []string{q.Name}
	}
	return q.From
}

// ofType returns a queue of the type t that does not exist yet.
func ofType(q broker.Queue, t codec.Info) broker.Queue {
	q.Codec, q.Type = t.Codec, t.Type
	if q.MaxBytes == 0 {
		q.MaxBytes = defaultBytes
	}
	return q
}

// declare makes a queue of the type t, or finds the named one and compares. It
// tells which.
func (p *partition) declare(ctx context.Context, q broker.Queue, t codec.Info) (found broker.Queue, made bool, err error) {
	if q = ofType(q, t); q.Owner == "" {
		if err := p.reserve(ctx, q.Name); err != nil {
			return broker.Queue{}, false, err
		}
	}
	found, made, err = p.c.Declare(ctx, q)
	if ctx.Err() != nil && err != nil && !broker.IsRefusal(err) { // the reply may be lost
		p.discard(q)
	}
	if err != nil || made {
		return found, made, err
	}
	if !fits(info(found), t) {
		return broker.Queue{}, false, fmt.Errorf("queue %q: %w: it holds %v, this would be %v", q.Name, ErrTypeMismatch, info(found), t)
	}
	if q.Counted() && !found.Counted() {
		return broker.Queue{}, false, fmt.Errorf("queue %q: %w: it has one item for each input, this would have fewer; use another name",
			q.Name, ErrTypeMismatch)
	}
	if !slices.Equal(found.From, q.From) && (len(found.From) > 0 || len(q.From) > 0) {
		return broker.Queue{}, false, fmt.Errorf("queue %q: %w: its items come from %s; use another name",
			q.Name, ErrConsumerExists, strings.Join(paths(found), " and "))
	}
	if info(found).Wildcard() && !t.Wildcard() {
		if err := p.c.Adopt(ctx, found, t.Codec, t.Type); err != nil {
			return broker.Queue{}, false, err
		}
		found.Codec, found.Type = t.Codec, t.Type
	}
	return found, false, nil
}

// discard deletes queues in the background, except those with a name of the user's. The call that
// has made them, or may have made them, has failed.
func (p *partition) discard(queues ...broker.Queue) {
	var names []string
	for _, q := range queues {
		if q.Owner != "" {
			names = append(names, q.Name)
			p.flows.forget(q.Name)
		}
	}
	if len(names) > 0 {
		p.owed.undo("deletion of queues "+strings.Join(names, ", "), func(ctx context.Context) error { return p.c.DeleteAll(ctx, names) })
	}
}

// uniqueName returns a name for a queue or a source without a name of the user's.
func uniqueName(of string) string {
	if len(of) > 40 {
		of = of[:40]
	}
	return of + "." + uuid.NewString()[:13]
}

// Delete deletes a queue with its items, its sources, and the stages that read it or add to it.
// Functions that run for these stages are canceled. Delete costs a few round trips, and Redis some
// time for each item that waits. ErrQueueNotFound: there is no queue of that name. Queue.Delete
// deletes a flow of queues without names.
func (ex *Executor) Delete(ctx context.Context, queue string) (err error) {
	ctx, end, err := ex.begin(ctx, "delete")
	if err != nil {
		return err
	}
	defer end(&err)
	for _, part := range ex.parts {
		if err = part.DeleteFor(ctx, ex.id, queue); !errors.Is(err, ErrQueueNotFound) {
			break
		}
	}
	if err == nil {
		for _, p := range append(ex.others.all(), ex.home) {
			p.flows.forget(queue)
		}
	}
	return err
}
