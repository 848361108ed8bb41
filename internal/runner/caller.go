package runner

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A caller is a goroutine that calls a function with a timeout for one item after the other. Its slot watches it: if the
// function does not return in time, the slot takes what is left from the caller, and another one goes on behind the
// item. So a timeout costs a goroutine for each batch, and for each item two atomic steps beside its context.
type caller struct {
	epoch time.Time
	first int64 // offset of the first item of the batch
	item  Item  // without its Offset
	ended chan callerEnd

	at  atomic.Int64 // index of the item that the function has, or had last
	due atomic.Int64 // when its context ends, in ns since epoch
	// running is 1 + the index of the item that the function has, 0 if it has none, and lost once the slot goes on
	// without the caller, which then touches nothing any more.
	running atomic.Int64
}

const lost = -1

// A callerEnd is how a caller has ended, and how long it took.
type callerEnd struct {
	crash *attemptError // nil: by returning
	spent time.Duration
}

// attend has a caller run loop, and returns how that ended. If the function does not return within grace after the end of
// its context, the caller is lost, which is the end of the item.
func (c *Call) attend(ctx context.Context, spent *time.Duration, loop func(context.Context)) *attemptError {
	t := &caller{epoch: time.Now(), first: c.Batch.First, ended: make(chan callerEnd, 1)}
	t.item, _ = ItemFrom(ctx)
	c.caller = t
	go t.run(WithLocator(ctx, t), loop)
	timer := time.NewTimer(c.Timeout + grace)
	defer timer.Stop()
	for over := ctx.Done(); ; {
		select {
		case end := <-t.ended:
			*spent += end.spent
			return end.crash
		case <-over:
			over = nil
			timer.Reset(grace)
		case <-timer.C:
			isLost, late := t.lose(over == nil)
			if !isLost {
				timer.Reset(t.again(over == nil, c.Timeout))
				continue
			}
			*spent += time.Since(t.epoch)
			c.leaveBehind(func() { <-t.ended })
			if !late {
				return missOf(ctx, errLeft, 0)
			}
			return missOf(ctx, errLeft, c.Timeout)
		}
	}
}

// overdue is for how long the context of the last item has ended, below 0 if it has not.
func (t *caller) overdue() time.Duration { return time.Since(t.epoch) - time.Duration(t.due.Load()) }

// lose gives the caller up if the function has an item for too long: grace after its context has ended, or at any time once
// that of the call is over. late tells whether the item has timed out.
func (t *caller) lose(over bool) (isLost, late bool) {
	item, overdue := t.running.Load(), t.overdue()
	isLost = item > 0 && (over || overdue >= grace) && t.running.CompareAndSwap(item, lost)
	return isLost, overdue >= 0
}

// again is when to look at the caller again.
func (t *caller) again(over bool, timeout time.Duration) time.Duration { //nolint:revive // a state of the caller
	wait := timeout + grace
	if t.running.Load() > 0 {
		wait = grace - t.overdue()
	}
	if over {
		wait = min(wait, grace)
	}
	return max(wait, time.Millisecond)
}

// run calls loop, also if a function in it ends the goroutine.
func (t *caller) run(ctx context.Context, loop func(context.Context)) {
	end := callerEnd{crash: &attemptError{code: batch.CodePanic, text: goexit}}
	defer func() {
		if r := recover(); r != nil {
			end.crash = &attemptError{code: batch.CodePanic, text: "panic: " + batch.Text(r), stack: batch.Stack(debug.Stack())}
		}
		end.spent = time.Since(t.epoch)
		t.ended <- end
	}()
	loop(ctx)
	end.crash = nil
}

// begin notes that the function gets the i-th item.
func (t *caller) begin(i int, deadline time.Time) {
	t.at.Store(int64(i))
	t.due.Store(int64(deadline.Sub(t.epoch)))
	t.running.Store(int64(i) + 1)
}

// end notes that the function has returned. It does not return itself if the slot has gone on.
func (t *caller) end() {
	if !t.running.CompareAndSwap(t.at.Load()+1, 0) {
		runtime.Goexit()
	}
}

// Item returns the item that the function has, or had last.
func (t *caller) Item() (Item, bool) {
	item := t.item
	item.Offset = t.first + t.at.Load()
	return item, true
}

// timed calls f for the i-th item in the caller of a call. late is the timeout if f returned an error after it.
func timed[In, Out any](ctx context.Context, c *Call, i int, f func(context.Context, In) (Out, error), v In) (out Out, late time.Duration, err error) {
	if c.isCrowded() {
		return out, 0, &Unavailable{errCrowded}
	}
	t, deadline := c.caller, time.Now().Add(c.Timeout) // c has another caller once this one is lost
	c.limit(deadline)
	own, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	t.begin(i, deadline)
	out, err = f(own, v)
	t.end()
	if err != nil && !time.Now().Before(deadline) {
		late = c.Timeout
	}
	return out, late, err
}
