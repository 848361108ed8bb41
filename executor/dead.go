package executor

import (
	"context"
	"fmt"
	"iter"
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
	ID       string     `json:"id"`
	At       time.Time  `json:"at"` // time at which it was given up, by the clock of Redis
	Queue    string     `json:"queue"`
	Source   string     `json:"source"`
	Offset   int64      `json:"offset"` // of its first item in the source
	Items    int        `json:"items"`
	Attempts int        `json:"attempts"` // failed calls of the function
	Crashes  int        `json:"crashes"`  // workers that died while they had it
	Why      *ItemError `json:"why"`
}

// deadPageSize is how many dead letters are read at once.
const deadPageSize = 100

// DeadLetters yields the dead letters, the oldest of a partition first. Redis keeps at most 10000
// in each partition and drops the oldest of more. It reads 100 in one round trip. An error is the
// last pair that it yields.
func (ex *Executor) DeadLetters(ctx context.Context) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		if err := ex.check("dead letters"); err != nil {
			yield(DeadLetter{}, err)
			return
		}
		for _, part := range ex.parts {
			if !ex.deadOf(ctx, part, yield) {
				return
			}
		}
	}
}

// deadOf yields the dead letters of a partition; false: no more are wanted.
func (ex *Executor) deadOf(ctx context.Context, part *broker.Client, yield func(DeadLetter, error) bool) bool {
	for after := ""; ; {
		page, err := ex.deadPage(ctx, part, after)
		if err != nil {
			yield(DeadLetter{}, err)
			return false
		}
		for _, d := range page {
			letter := DeadLetter{deadID(part, d.Entry.ID), d.At, d.Entry.Queue, d.Entry.Source, d.Entry.First, d.Entry.N, d.Entry.Attempts, d.Entry.Crashes, newItemError(d.Why)}
			if !yield(letter, nil) {
				return false
			}
			after = d.Entry.ID
		}
		if len(page) < deadPageSize {
			return true
		}
	}
}

// deadPage reads some dead letters. It is a call of its own, so that the loop body may call Close.
func (ex *Executor) deadPage(ctx context.Context, part *broker.Client, after string) (page []broker.DeadLetter, err error) {
	ctx, end, err := ex.begin(ctx, "dead letters")
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
func (ex *Executor) dead(id string) (*broker.Client, string) {
	if number, rest, ok := strings.Cut(id, ":"); ok {
		if i, err := strconv.Atoi(number); err == nil && i > 0 && i < len(ex.parts) {
			return ex.parts[i], rest
		}
	}
	return ex.parts[0], id
}

// DeadLetterItems returns the encoded items of a dead letter. ErrDeadLetterNotFound: there is no
// dead letter of that id.
func (ex *Executor) DeadLetterItems(ctx context.Context, id string) (items [][]byte, err error) {
	ctx, end, err := ex.begin(ctx, "dead items")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	part, at := ex.dead(id)
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

// RetryDeadLetter adds the items of a dead letter to their queue again, as a source of their own
// behind the items that wait there, and deletes the letter. The old places of the items keep their
// error. It waits while the queue is full. Errors: ErrDeadLetterNotFound, ErrSealed if no source
// can join the queue, ErrQueueNotFound if it was deleted, and the cause of ctx.
func (ex *Executor) RetryDeadLetter(ctx context.Context, id string) (err error) {
	ctx, end, err := ex.begin(ctx, "retry dead letter")
	if err != nil {
		return err
	}
	defer end(&err)
	part, at := ex.dead(id)
	return part.Retry(ctx, at)
}

// DeleteDeadLetter deletes a dead letter and its items. ErrDeadLetterNotFound: there is no dead
// letter of that id.
func (ex *Executor) DeleteDeadLetter(ctx context.Context, id string) (err error) {
	ctx, end, err := ex.begin(ctx, "drop dead letter")
	if err != nil {
		return err
	}
	defer end(&err)
	part, at := ex.dead(id)
	d, err := part.Letter(ctx, at)
	if err != nil {
		return err
	}
	return part.DeleteDeadLetter(ctx, d)
}
