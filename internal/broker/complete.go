package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A Completion replaces an entry: by batches for the out-queues, remainders that return to the
// in-queue, or a dead letter. The script stores all of it or none.
type Completion struct {
	Entry      Entry
	In         Queue
	Cost       time.Duration // measured time of one item; 0: not measured
	Growth     float64       // measured outputs for one item; 0: one
	Outs       []Output
	Remainders []Remainder
	Bypassed   []Bypassed
	Dead       *batch.Failure // why the entry becomes a dead letter; nil: it does not
}

// A Bypassed counts the offsets that skipped a queue, and their items, because one worker ran the
// stages before and behind it in one call.
type Bypassed struct {
	Queue    Queue
	N, Items int
}

// A Remainder is a part of an entry that goes back to the in-queue: not run, or to be retried.
type Remainder struct {
	batch.Batch
	Attempts int           // failed calls so far
	Delay    time.Duration // until it is due
}

// Suspicious is the number of workers that die with an entry before its items run alone.
const Suspicious = 2

// maxDead is the number of dead letters kept; beyond it, the oldest are deleted.
const maxDead = 10_000

// An Output is a batch for an out-queue.
type Output struct {
	Queue Queue
	batch.Batch
}

// An Outcome is the result of a completion.
type Outcome string

// The outcomes.
const (
	Committed  Outcome = "ok"
	Superseded Outcome = "lost"  // another worker completed the entry first
	InputGone  Outcome = "gone"  // the in-queue is gone
	OutputGone Outcome = "noout" // an out-queue is gone; the entry stays pending
)

// Complete replaces each entry by its completion, if the entry still exists: the first completion
// wins. An Outcome that is none of the constants is the text of an error that Redis had with that
// entry alone; the entry stays pending. It is safe to repeat.
func (c *Client) Complete(ctx context.Context, done []Completion) ([]Outcome, error) {
	outcomes, _, err := c.commit(ctx, done, "")
	return outcomes, err
}

// CommitAndTakeNext commits a completion with one output. If that succeeds, it also takes the next
// entry of the output's queue for consumer: one entry or none. If the reply is lost, the entry
// taken stays pending with the consumer, see Held, and the retried call returns Superseded.
func (c *Client) CommitAndTakeNext(ctx context.Context, d Completion, consumer string) (Outcome, []Entry, error) {
	outcomes, taken, err := c.commit(ctx, []Completion{d}, consumer)
	if err != nil {
		return "", nil, err
	}
	return outcomes[0], taken, nil
}

func (c *Client) commit(ctx context.Context, done []Completion, taker string) (_ []Outcome, taken []Entry, _ error) {
	outcomes := make([]Outcome, len(done))
	left := make([]int, len(done)) // indexes into done of the completions still to be stored
	for i := range left {
		left[i] = i
	}
	encode := c.encode
	for len(left) > 0 {
		err := c.try(ctx, "complete batches", func(ctx context.Context) error {
			replies, refused, err := c.complete(ctx, done, left, encode, taker)
			if isFull(err) || isFull(refused) {
				encode = encodeInline
			}
			if err != nil {
				return err
			}
			if len(replies) > len(left) {
				taken = entriesOf(StreamRef{Queue: done[0].Outs[0].Queue.Name}, replies.list(len(left)))
			}
			left, err = uncommitted(left, replies, outcomes)
			if err == nil && len(left) > 0 { // for the lack of payloads
				err = refused
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return outcomes, taken, nil
}

// uncommitted stores the outcomes and returns the indexes that have none yet, because a payload
// expired or Redis had a transient error, which it returns.
func uncommitted(open []int, replies list, outcomes []Outcome) (again []int, passing error) {
	for k, i := range open {
		text := replies.text(k)
		err := errors.New(text)
		switch {
		case text == "resend":
			again = append(again, i)
		case isTransientError(err):
			again, passing = append(again, i), err
		default:
			outcomes[i] = Outcome(text)
		}
	}
	return again, passing
}

type encoder func(b batch.Batch, payloads []payload) (kind string, data any, grown []payload)

// countOf returns the number of items of a batch for the script, "" if that is N.
func countOf(b batch.Batch) any {
	n, err := b.Items()
	if err != nil { // the reader of the entry finds out
		return ""
	}
	if IsChild(b.Source) { // its offsets are no inputs
		return n
	}
	return countText(n, b.N)
}

func countText(items, n int) any {
	if items == n {
		return ""
	}
	return items
}

// growthText returns the field growth of complete.lua.
func growthText(growth float64) any {
	if growth == 0 || growth == 1 {
		return 1
	}
	return strconv.FormatFloat(growth, 'f', 3, 64)
}

func (c *Client) complete(ctx context.Context, done []Completion, open []int, encode encoder, taker string) (replies list, refused, err error) {
	k := c.keys
	keys := []string{k.due(), k.dead()}
	args := []any{k.payload(""), Suspicious, maxDead, taker}
	var all []payload
	for _, i := range open {
		d := &done[i]
		e := &d.Entry
		keys = append(keys, k.streamOf(e.Stream()), k.meta(e.Queue), k.returns(e.Queue), k.suspects(e.Queue), k.delayed(e.Queue))
		args = append(args, e.ID, d.In.Inc, int64(d.Cost), growthText(d.Growth), e.Crashes, e.Source, e.Stamp, e.Queue)
		if d.Dead == nil {
			args = append(args, "")
		} else {
			args = append(args, d.Dead.Append(nil))
		}
		old := 0
		if e.Payload != "" && d.Dead == nil {
			keys, old = append(keys, k.payload(e.Payload)), 1
		}
		args = append(args, old, len(d.Outs), len(d.Bypassed), len(d.Remainders))
		var payloads []payload
		for _, out := range d.Outs {
			kind, data, grown := encode(out.Batch, payloads)
			payloads = grown
			keys = append(keys, k.stream(out.Queue.Name), k.meta(out.Queue.Name))
			args = append(args, out.Queue.Inc, out.Source, out.First, out.N, countOf(out.Batch), len(out.Frame), kind, data)
		}
		for _, by := range d.Bypassed {
			keys = append(keys, k.meta(by.Queue.Name))
			args = append(args, by.Queue.Inc, by.N, countText(by.Items, by.N))
		}
		for _, rest := range d.Remainders {
			kind, data, grown := encode(rest.Batch, payloads)
			payloads = grown
			child := rest.Source
			if child == e.Source {
				child = ""
			}
			args = append(args, child, rest.Attempts, rest.Delay.Milliseconds(), rest.First, rest.N, countOf(rest.Batch), len(rest.Frame), kind, data)
		}
		keys = payloadKeys(keys, payloads)
		all = append(all, payloads...)
	}
	reply, refused, err := c.sendWith(ctx, scripts.complete, all, keys, args...)
	if err != nil {
		return nil, nil, err
	}
	if got := len(asList(reply)); got < len(open) {
		return nil, nil, fmt.Errorf("complete batches: %d replies for %d entries", got, len(open))
	}
	return asList(reply), refused, nil
}
