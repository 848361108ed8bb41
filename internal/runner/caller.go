package runner

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A caller is a goroutine that calls a function with a timeout for one item after another. The slot
// watches it. If the function does not return in time, the slot abandons the caller, and another
// one goes on behind the item. So a timeout costs a goroutine a batch, and two atomic operations an
// item beside its context.
type caller struct {
	epoch time.Time
	first int64 // offset of the first item of the batch
	item  Item  // without its Offset
	ended chan callerEnd

	at  atomic.Int64 // position of the current item, or of the last one
	due atomic.Int64 // when its context ends, in ns since epoch
	// running is 1 + the index of the current item, 0 between items, and abandoned once the slot
	// goes on without the caller, which then changes no shared state.
	running atomic.Int64
}

const abandoned = -1

// A callerEnd is the panic of a caller and the time that it took.
type callerEnd struct {
	crash *attemptError // nil: it has returned
	spent time.Duration
}

// callInGoroutine runs loop in a caller and returns its panic. If the function does not return
// within grace after the end of its context, it abandons the caller and returns the error of the
// item.
func (c *Call) callInGoroutine(ctx context.Context, spent *time.Duration, loop func(context.Context)) *attemptError {
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
			isLost, late := t.abandon(over == nil)
			if !isLost {
				timer.Reset(t.again(over == nil, c.Timeout))
				continue
			}
			*spent += time.Since(t.epoch)
			c.leaveBehind(func() { <-t.ended })
			if !late {
				return attemptErrorOf(ctx, errLeftBehind, 0)
			}
			return attemptErrorOf(ctx, errLeftBehind, c.Timeout)
		}
	}
}

// overdue returns the time since the end of the context of the last item, below 0 before that.
func (t *caller) overdue() time.Duration { return time.Since(t.epoch) - time.Duration(t.due.Load()) }

// abandon abandons the caller if the current item takes too long: grace after the end of its
// context, or at any time once that of the call is over. late reports whether the item has timed
// out.
func (t *caller) abandon(over bool) (isLost, late bool) {
	item, overdue := t.running.Load(), t.overdue()
	isLost = item > 0 && (over || overdue >= grace) && t.running.CompareAndSwap(item, abandoned)
	return isLost, overdue >= 0
}

// again returns the time until the next look at the caller.
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

// run calls loop and reports its end, also if the function calls runtime.Goexit.
func (t *caller) run(ctx context.Context, loop func(context.Context)) {
	end := callerEnd{crash: &attemptError{code: batch.CodePanic, text: goexitText}}
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

// begin records that the function gets the i-th item, which has a position.
func (t *caller) begin(i, position int, deadline time.Time) {
	t.at.Store(int64(position))
	t.due.Store(int64(deadline.Sub(t.epoch)))
	t.running.Store(int64(i) + 1)
}

// end records that the function has returned for the i-th item. It ends the goroutine if the slot has
// abandoned it.
func (t *caller) end(i int) {
	if !t.running.CompareAndSwap(int64(i)+1, 0) {
		runtime.Goexit()
	}
}

// Item returns the current item, or the last one.
func (t *caller) Item() (Item, bool) {
	item := t.item
	item.Offset = t.first + t.at.Load()
	return item, true
}

// callTimed calls f for the i-th item of the batch in the caller of a call. late is the timeout if f
// returned an error after it.
func callTimed[In, Out any](ctx context.Context, c *Call, i int, f func(context.Context, In) (Out, error), v In) (out Out, late time.Duration, err error) {
	if c.tooManyLeft() {
		return out, 0, &Unavailable{errTooManyLeft}
	}
	t, deadline := c.caller, time.Now().Add(c.Timeout) // the call has another caller once this one is abandoned
	c.limit(deadline)
	own, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	t.begin(i, c.position(i), deadline)
	out, err = f(own, v)
	t.end(i)
	if err != nil && !time.Now().Before(deadline) {
		late = c.Timeout
	}
	return out, late, err
}
