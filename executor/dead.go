package executor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// A DeadLetter is a batch of items that the fleet has given up: several workers have died with it,
// a gather has rejected it too often, or its entry is malformed. The place of each item in its
// stream has an *ItemError. RetryDeadLetter and DeleteDeadLetter take its ID.
type DeadLetter struct {
	ID string    `json:"id"`
	At time.Time `json:"at"` // time at which it was given up, by the clock of Redis
	// Scattered is when its items were scattered, by the clock of Redis, zero if that is not known.
	Scattered time.Time `json:"scattered,omitzero"`

	Queue    string     `json:"queue"`
	Source   string     `json:"source"`
	Offset   int64      `json:"offset"` // of its first item in the source
	Items    int        `json:"items"`
	Attempts int        `json:"attempts"` // failed calls of the function
	Crashes  int        `json:"crashes"`  // workers that died while they had it
	Why      *ItemError `json:"why"`
	// Workers are the last workers that died while they had it, at most five, the oldest first. At
	// is the time at which Redis requeued the batch after the death.
	Workers []struct {
		ID   string    `json:"id"`
		Host string    `json:"host"`
		At   time.Time `json:"at"`
	} `json:"workers"`
}

// deadPageSize is how many dead letters are read at once.
const deadPageSize = 100

// DeadLetters yields the dead letters, the oldest of a partition first. Redis keeps at most 10000
// in each partition and drops the oldest of more. It reads 100 in one round trip. An error is the
// last pair that it yields.
func (ex *Executor) DeadLetters(ctx context.Context) iter.Seq2[DeadLetter, error] {
	if err := ex.check("dead letters"); err != nil {
		return func(yield func(DeadLetter, error) bool) { yield(DeadLetter{}, err) }
	}
	return ex.inspector.DeadLetters(ctx)
}

// DeadLetters yields what Executor.DeadLetters does.
func (i inspector) DeadLetters(ctx context.Context) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		for _, part := range i.parts {
			if !i.deadOf(ctx, part, yield) {
				return
			}
		}
	}
}

// deadOf yields the dead letters of a partition; false: no more are wanted.
func (i inspector) deadOf(ctx context.Context, part *broker.Client, yield func(DeadLetter, error) bool) bool {
	for after := ""; ; {
		page, err := i.deadPage(ctx, part, after)
		if err != nil {
			yield(DeadLetter{}, err)
			return false
		}
		for _, d := range page {
			if !yield(deadLetterOf(part, d), nil) {
				return false
			}
			after = d.Entry.ID
		}
		if len(page) < deadPageSize {
			return true
		}
	}
}

func deadLetterOf(part *broker.Client, d broker.DeadLetter) DeadLetter {
	e := d.Entry
	letter := DeadLetter{
		ID: deadID(part, e.ID), At: d.At, Scattered: e.Scattered(), Queue: e.Queue, Source: e.Source, Offset: e.First, Items: e.N,
		Attempts: e.Attempts, Crashes: e.Crashes, Why: newItemError(d.Why),
	}
	letter.Workers = slices.Grow(letter.Workers, 1+len(d.Deaths))[:len(d.Deaths)] // not nil, which JSON would write as null
	for i, death := range d.Deaths {
		w := &letter.Workers[i]
		w.ID, w.Host, w.At = death.Worker, death.Host, death.At
	}
	return letter
}

// deadPage reads some dead letters. It is a call of its own, so that the loop body may call Close.
func (i inspector) deadPage(ctx context.Context, part *broker.Client, after string) (page []broker.DeadLetter, err error) {
	ctx, end, err := i.tasks.begin(ctx, "dead letters")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	return part.Dead(ctx, after, deadPageSize)
}

// deadID is the id of a dead letter for users; that of a further partition begins
// with its number.
func deadID(part *broker.Client, id string) string {
	if part.Index() == 0 {
		return id
	}
	return fmt.Sprintf("%d:%s", part.Index(), id)
}

// dead is the partition that an id is of, and the id there.
func (i inspector) dead(id string) (*broker.Client, string) {
	if number, rest, ok := strings.Cut(id, ":"); ok {
		if n, err := strconv.Atoi(number); err == nil && n > 0 && n < len(i.parts) {
			return i.parts[n], rest
		}
	}
	return i.parts[0], id
}

// DeadLetterItems returns the encoded items of a dead letter. ErrDeadLetterNotFound: there is no
// dead letter of that id.
func (ex *Executor) DeadLetterItems(ctx context.Context, id string) ([][]byte, error) {
	if err := ex.check("dead items"); err != nil {
		return nil, err
	}
	return ex.inspector.DeadLetterItems(ctx, id)
}

// DeadLetterItems returns what Executor.DeadLetterItems does.
func (i inspector) DeadLetterItems(ctx context.Context, id string) (items [][]byte, err error) {
	ctx, end, err := i.tasks.begin(ctx, "dead items")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	part, at := i.dead(id)
	d, err := part.Letter(ctx, at)
	if err != nil {
		return nil, err
	}
	if err := d.Entry.Check(); err != nil {
		return nil, fmt.Errorf("dead letter %s: %w", id, err)
	}
	r := batch.Read(d.Entry.Frame)
	for item, _, ok := r.Next(); ok; item, _, ok = r.Next() {
		items = append(items, item)
	}
	return items, nil
}

// RetryDeadLetter adds the items of a dead letter to a queue, as a source of their own behind the
// items that wait there, and deletes the letter. If queue is empty, it is the queue of the letter.
// The old places of the items keep their error. RetryDeadLetter waits while the queue is full. A
// call that failed may be repeated with the same queue. Errors: ErrDeadLetterNotFound, ErrSealed if
// no source can join the queue, ErrTypeMismatch if the queue of the letter is there and holds
// another type, ErrQueueNotFound, and the cause of ctx.
func (ex *Executor) RetryDeadLetter(ctx context.Context, id, queue string) (err error) {
	ctx, end, err := ex.begin(ctx, "retry dead letter")
	if err != nil {
		return err
	}
	defer end(&err)
	_, _, err = ex.retryDeadLetter(ctx, id, queue)
	return err
}

// retryDeadLetter does what RetryDeadLetter does. It returns the letter and its partition.
func (i inspector) retryDeadLetter(ctx context.Context, id, queue string) (*broker.Client, broker.DeadLetter, error) {
	part, at := i.dead(id)
	d, err := part.Letter(ctx, at)
	if err != nil {
		return part, d, err
	}
	to := part
	var q broker.Queue
	if queue == "" {
		q, err = part.Look(ctx, d.Entry.Queue)
	} else if to, q, err = part.Find(ctx, queue); err == nil {
		err = sameType(ctx, part, d.Entry.Queue, q)
	}
	if err != nil {
		return part, d, fmt.Errorf("retry dead letter %s: %w", id, err)
	}
	return part, d, part.Retry(ctx, d, to, q)
}

// sameType returns ErrTypeMismatch if a queue cannot hold the items of another one. The items of a
// queue that was deleted fit.
func sameType(ctx context.Context, part *broker.Client, from string, to broker.Queue) error {
	q, err := part.Look(ctx, from)
	switch {
	case errors.Is(err, ErrQueueNotFound):
		return nil
	case err != nil:
		return err
	case !fits(info(q), info(to)):
		return fmt.Errorf("%w: its items are %v, and queue %q holds %v", ErrTypeMismatch, info(q), to.Name, info(to))
	}
	return nil
}

// DeleteDeadLetter deletes a dead letter and its items. ErrDeadLetterNotFound: there is no dead
// letter of that id.
func (ex *Executor) DeleteDeadLetter(ctx context.Context, id string) (err error) {
	ctx, end, err := ex.begin(ctx, "drop dead letter")
	if err != nil {
		return err
	}
	defer end(&err)
	_, _, err = ex.deleteDeadLetter(ctx, id)
	return err
}

// deleteDeadLetter does what DeleteDeadLetter does. It returns the letter and its partition.
func (i inspector) deleteDeadLetter(ctx context.Context, id string) (*broker.Client, broker.DeadLetter, error) {
	part, at := i.dead(id)
	d, err := part.Letter(ctx, at)
	if err != nil {
		return part, d, err
	}
	return part, d, part.DeleteDeadLetter(ctx, d)
}
