// Package work is the task of every row: ints through the stages inc and double, one result for
// each int.
package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// Capacity is that of the channels between a caller and a pipeline.
	Capacity = 1024
	// PerStage is the number of goroutines of a stage, if the system has a setting for it.
	PerStage = 4
	// Producers is the number of sending goroutines, if a call sends one item and blocks until it is
	// stored.
	Producers = 4
)

// A Caller uses one open pipeline and ends it with Run or End.
type Caller interface {
	// Run sends n items at full speed, ends the input and checks the results.
	Run(n int) (Done, error)
	// Trip sends one item and waits for its result.
	Trip(i int) error
	// End ends a pipeline without Run.
	End() error
}

// Done is a complete run.
type Done struct {
	Took    time.Duration
	Ordered bool
}

// A Pipe is a pipeline from channel to channel.
type Pipe[O any] struct {
	In    chan<- int
	Out   <-chan O // closed early after a failure
	Ends  bool     // Out is closed after the last result, and Run waits for that
	Value func(O) (int, error)
	// Close frees the resources of the pipe after In is closed and all results are read. It returns
	// the first failure of the pipe.
	Close func() error
}

// Plain is the Value of a pipe of ints.
func Plain(x int) (int, error) { return x, nil }

var errEarly = errors.New("the results ended early")

// Run sends from a second goroutine.
func (p *Pipe[O]) Run(n int) (Done, error) {
	begin := time.Now()
	go Feed(p.In, n)
	t := NewTally(n)
	for range n {
		o, more := <-p.Out
		if !more {
			return Done{}, errors.Join(errEarly, p.Close())
		}
		x, err := p.Value(o)
		if err != nil {
			return Done{}, fmt.Errorf("item %d: %w", t.got, err)
		}
		t.Add(x)
	}
	took := time.Since(begin)
	err := p.ended()
	if p.Ends {
		took = time.Since(begin)
	}
	return Done{took, t.Ordered()}, errors.Join(err, t.Err())
}

// Trip implements Caller.
func (p *Pipe[O]) Trip(i int) error {
	p.In <- i
	o, more := <-p.Out
	if !more {
		return errors.Join(errEarly, p.Close())
	}
	x, err := p.Value(o)
	if err == nil && x != Expected(i) {
		err = fmt.Errorf("the result of %d is %d", i, x)
	}
	return err
}

// End implements Caller.
func (p *Pipe[O]) End() error {
	close(p.In)
	return p.ended()
}

func (p *Pipe[O]) ended() error {
	if p.Ends {
		if o, more := <-p.Out; more {
			return fmt.Errorf("a result too many: %v", o)
		}
	}
	return p.Close()
}

// Feed sends 0 to n-1 and closes the channel. It blocks forever if the reader stops early.
func Feed(in chan<- int, n int) {
	defer close(in)
	for i := range n {
		in <- i
	}
}

// Trips returns the times of up to n single items. It ends at the limit, but after one item at the
// earliest.
func Trips(n int, limit time.Duration, trip func(i int) error) (took []time.Duration, err error) {
	for start := time.Now(); len(took) < n && (len(took) == 0 || time.Since(start) < limit); {
		begin := time.Now()
		if err := trip(len(took)); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}

// Crew returns a group for the goroutines of an open pipe. Its end cancels their context, waits for
// them and returns the first error from before the cancellation.
func Crew(ctx context.Context) (group *errgroup.Group, bound context.Context, end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	group, bound = errgroup.WithContext(ctx)
	return group, bound, func() error {
		failed := bound.Err() != nil
		cancel()
		if err := group.Wait(); failed {
			return err
		}
		return nil
	}
}

// Give sends a result, or returns the cause of the end of ctx.
func Give[T any](ctx context.Context, out chan<- T, x T) error {
	select {
	case out <- x: // a select of one channel is faster, if the channel has room
		return nil
	default:
	}
	select {
	case out <- x:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Pause waits for a duration. It returns the cause if ctx ends first.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
