package executor

import (
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// MaxConcurrency bounds the calls of the function that run at once, over all workers together. Redis keeps
// the bound: a worker gets a batch of the queue only if it leaves fewer than n in the hands of workers, and
// each batch runs in one slot, an item after the other. Results that wait to be stored count too. With
// Batch, each call counts. Of a function made by workers.DefineBatch without Batch, each batch of the queue
// counts, so that a call for several of them counts several times. What a dead worker held counts until
// its lease has run out.
//
// A stage that waits for a place takes no slot and holds up no other stage. Its queue is read by a script
// alone, which costs Redis some 20 µs more for a batch. It does not run in one call with the stage before
// it. Workers of earlier versions of this module leave the stage alone.
//
// Map with another n, or without the option, changes the stage, as with other options. workers.Concurrency
// bounds the calls of a function in each worker instead. For Submit and MapSlice, the limits are those of the
// calls of one Executor. The default is no bound. n must be at least 1.
func MaxConcurrency(n int) StageOption {
	return func(s *stageOptions) error {
		if n < 1 {
			return fmt.Errorf("executor: MaxConcurrency(%d): it must be at least 1", n)
		}
		s.limits.Most = n
		return nil
	}
}

// RateLimit bounds the calls of the function that begin, over all workers together: n in per, evenly
// spread. In any time of that length, at most n + b - 1 calls begin, where b is the number of calls that
// may begin at once, see Burst. Redis counts the calls, by its own clock, when it gives a batch to a worker,
// and the worker begins them within some milliseconds. Each item is a call, also of a function made by
// workers.DefineBatch; with Batch, each call is one. Retries count. So do calls that are repeated since
// their worker has died.
//
// Directly behind a flow.FlatMap, up to 64 outputs of one input are taken at once. They count as b calls at
// most, so the rate may be higher there.
//
// The limit holds if the clock of Redis jumps. A jump ahead may let b calls more begin, once, if no call
// was waiting.
//
// What a waiting stage costs is as for MaxConcurrency. The default is no bound. n must be at least 1, and
// per above 0.
func RateLimit(n int, per time.Duration) StageOption {
	return func(s *stageOptions) error {
		if n < 1 || per <= 0 {
			return fmt.Errorf("executor: RateLimit(%d, %v): the number must be at least 1, and the time above 0", n, per)
		}
		s.limits.Rate, s.limits.Per = n, per
		return nil
	}
}

// Burst sets the number of calls that a RateLimit lets begin at once after a pause. The default is the
// number in 10 ms, at least 1. A smaller burst makes smaller batches, which cost Redis more. The call that
// gets Burst without RateLimit returns an error. b must be at least 1.
func Burst(b int) StageOption {
	return func(s *stageOptions) error {
		if b < 1 {
			return fmt.Errorf("executor: Burst(%d): it must be at least 1", b)
		}
		s.limits.Burst = b
		return nil
	}
}

// mostBatch is the largest n of Batch.
const mostBatch = 10_000

// Batch lets each call of a function made by workers.DefineBatch or DefineBatchSink have n items, of
// several batches of the queue if need be. A call waits until n items are there, or until the oldest has waited for linger in the
// queue; then it has fewer. An item that is retried has a call of its own. Order, errors of single items
// and retries are as without the option. Results are stored batch by batch, so small batches cost as much
// as without it. A call has at most 2,048 batches of the queue.
//
// A waiting call takes no slot. The call of Map or Submit returns an error for a function that
// workers.Define has made; workers with such a function leave the stage of a workers.Remote to others. The
// default is the size that the worker finds, see workers.DefineBatch. n must be from 1 to 10,000, and
// linger not negative.
func Batch(n int, linger time.Duration) StageOption {
	return func(s *stageOptions) error {
		if n < 1 || n > mostBatch || linger < 0 {
			return fmt.Errorf("executor: Batch(%d, %v): the number must be from 1 to %d, and the time not negative", n, linger, mostBatch)
		}
		s.limits.Batch, s.limits.Linger = n, linger
		return nil
	}
}

// defaultBurst is the time of which a rate lets all calls begin at once.
const defaultBurst = 10 * time.Millisecond

var (
	errBurst   = errors.New("executor: Burst without RateLimit: pass both")
	errBatch   = errors.New("executor: Batch is for a function made by workers.DefineBatch or DefineBatchSink: this one is called for each item")
	errNoCalls = errors.New("executor.MaxConcurrency, RateLimit and Batch are for stages with a function")
)

// checkLimits returns the limits of the stage of a function, nil for none, or the error of its definition.
func (s stageOptions) checkLimits(f *runner.Function) (*broker.Limits, error) {
	l := s.limits
	switch {
	case f.Err != nil:
		return nil, f.Err
	case l == broker.Limits{}:
		return nil, nil
	case l.Burst > 0 && l.Rate == 0:
		return nil, errBurst
	case l.Batch > 0 && !f.Whole && (f.New != nil || f.Filter || f.FlatMap && !f.Sink || f.Links != nil):
		return nil, fmt.Errorf("function %q: %w", f.Name, errBatch)
	}
	if l.Rate > 0 && l.Burst == 0 {
		l.Burst = int(max(1, float64(l.Rate)*float64(defaultBurst)/float64(l.Per)))
	}
	return &l, nil
}
