package executor

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// A DeadLetter is what no worker could process: an item with which several
// workers have died, or an entry that is malformed. The place of an item in its
// stream has an error that says so.
type DeadLetter struct {
	ID       string     `json:"id"`
	At       time.Time  `json:"at"` // by the clock of Redis
	Queue    string     `json:"queue"`
	Source   string     `json:"source"`
	Offset   int64      `json:"offset"` // of its first item in the source
	Items    int        `json:"items"`
	Attempts int        `json:"attempts"` // calls of the function that failed
	Crashes  int        `json:"crashes"`  // workers that died with it
	Why      *ItemError `json:"why"`
}

// deadPage is how many dead letters are read at once.
const deadPage = 100

// DeadLetters lists the dead letters, the oldest first. At most 10000 are kept;
// of more, the oldest go. An error is the last.
func (ex *Executor) DeadLetters(ctx context.Context) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		after := ""
		for {
			page, err := ex.c.Dead(ctx, after, deadPage)
			if err != nil {
				yield(DeadLetter{}, err)
				return
			}
			for _, d := range page {
				letter := DeadLetter{d.ID, d.At, d.Queue, d.Source, d.First, d.N, d.Attempts, d.Crashes, NewItemError(d.Why)}
				if !yield(letter, nil) {
					return
				}
				after = d.ID
			}
			if len(page) < deadPage {
				return
			}
		}
	}
}

// DeadItems returns the items of a dead letter as they are encoded. ErrNoLetter:
// there is none of that id.
func (ex *Executor) DeadItems(ctx context.Context, id string) (items [][]byte, err error) {
	d, err := ex.c.Letter(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := d.Check(); err != nil {
		return nil, fmt.Errorf("dead letter %s: %w", id, err)
	}
	r := batch.Read(d.Frame)
	for item, _, ok := r.Next(); ok; item, _, ok = r.Next() {
		items = append(items, item)
	}
	return items, nil
}

// RetryDead sends the items of a dead letter into their queue once more, as a
// source of their own behind what is there, and drops the letter. Their old
// place keeps its error. The queue has to be open: ErrSealed, ErrNoQueue.
func (ex *Executor) RetryDead(ctx context.Context, id string) error { return ex.c.Retry(ctx, id) }

// DropDead deletes a dead letter.
func (ex *Executor) DropDead(ctx context.Context, id string) error {
	d, err := ex.c.Letter(ctx, id)
	if err != nil {
		return err
	}
	return ex.c.Forget(ctx, d)
}

// ErrNoLetter says that there is no dead letter of that id (any more).
var ErrNoLetter = broker.ErrNoLetter
