package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/handle"
)

// Purge drops the items that wait in a queue. Each becomes a failure with the code "dropped" in its
// place, so that the streams behind the queue end in order. Items that a worker or a gather has read
// go on. progress gets the number of items so far after each page of about 100 entries; nil: it is
// not called. Purge returns the number of items. Errors: executor.ErrQueueNotFound, and ErrFutures if the
// queue holds futures.
func (o *Operator) Purge(ctx context.Context, queue string, act Act, progress func(items int64)) (items int64, err error) {
	ctx, end, err := o.begin(ctx, "purge")
	if err != nil {
		return 0, err
	}
	defer end(&err)
	part, _, err := o.partitions()[0].Find(ctx, queue)
	if err != nil {
		return 0, fmt.Errorf("purge: %w", err)
	}
	why := "the queue was purged by " + act.Name()
	if act.Reason != "" {
		why += ": " + act.Reason
	}
	items, err = part.DropWaiting(ctx, queue, why, progress)
	if items > 0 || err == nil {
		err = errors.Join(err, act.note(ctx, part, "purge", "queue "+queue, items))
	}
	return items, err
}

// Delete deletes a queue with its items, its sources, and the stages that read it or add to it, see
// executor.Executor.Delete. executor.ErrQueueNotFound: there is no queue of that name.
func (o *Operator) Delete(ctx context.Context, queue string, act Act) (err error) {
	ctx, end, err := o.begin(ctx, "delete")
	if err != nil {
		return err
	}
	defer end(&err)
	for _, part := range o.partitions() {
		waiting, failed := part.Waiting(ctx, queue)
		if failed == nil {
			failed = part.Delete(ctx, queue)
		}
		if err = failed; err == nil {
			return act.note(ctx, part, "delete", "queue "+queue, waiting.Items)
		}
		if !errors.Is(err, executor.ErrQueueNotFound) {
			break
		}
	}
	return fmt.Errorf("delete: %w", err)
}

// RetryLetters retries dead letters, see executor.Executor.RetryDeadLetter: to is the queue that gets
// their items, the queue of each letter if it is empty. After an error it goes on with the next
// letter, and its error joins them. It returns the number of items.
func (o *Operator) RetryLetters(ctx context.Context, ids []string, to string, act Act) (items int64, err error) {
	return o.eachLetter(ctx, "retry", ids, act, func(ctx context.Context, id string) (*broker.Client, broker.DeadLetter, error) {
		return o.connection.RetryDeadLetter(ctx, handle.Key{}, id, to)
	})
}

// DropLetters deletes dead letters with their items. After an error it goes on with the next letter,
// and its error joins them. It returns the number of items.
func (o *Operator) DropLetters(ctx context.Context, ids []string, act Act) (items int64, err error) {
	return o.eachLetter(ctx, "drop", ids, act, func(ctx context.Context, id string) (*broker.Client, broker.DeadLetter, error) {
		return o.connection.DeleteDeadLetter(ctx, handle.Key{}, id)
	})
}

// eachLetter does something with each dead letter, and notes it.
func (o *Operator) eachLetter(
	ctx context.Context, verb string, ids []string, act Act, do func(context.Context, string) (*broker.Client, broker.DeadLetter, error),
) (items int64, err error) {
	ctx, end, err := o.begin(ctx, verb+" dead letters")
	if err != nil {
		return 0, err
	}
	defer end(&err)
	for _, id := range ids {
		part, letter, failed := do(ctx, id)
		if failed == nil {
			items += int64(letter.Entry.N)
			failed = act.note(ctx, part, verb, "dead letter "+id, int64(letter.Entry.N))
		}
		err = errors.Join(err, failed)
		if ctx.Err() != nil {
			break
		}
	}
	return items, err
}
