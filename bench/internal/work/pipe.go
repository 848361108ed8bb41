package work

import (
	"errors"
	"fmt"
	"time"
)

// Capacity is the capacity of the channels between a caller and a pipeline.
const Capacity = 1024

// A Caller uses one open pipeline, and then ends it by Run or by End.
type Caller interface {
	// Run sends n items as fast as the pipeline takes them, ends the input and checks the results.
	Run(n int) (Done, error)
	// Trip sends one item and waits for its result.
	Trip(i int) error
	// End ends a pipeline that Run has not ended.
	End() error
}

// A Done is the result of a run that delivered all items.
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
	// Close releases the pipe, after In is closed and all results are read. It returns the errors
	// of the pipe.
	Close func() error
}

// Plain is the Value of a pipe that only carries ints.
func Plain(x int) (int, error) { return x, nil }

var errEarly = errors.New("the results ended before their time")

// Run sends from another goroutine.
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

// Trip sends one item and receives its result.
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

// End closes the input.
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

// Feed sends 0 to n-1, and then closes the channel. If its reader stops early, the program has
// failed and ends.
func Feed(in chan<- int, n int) {
	defer close(in)
	for i := range n {
		in <- i
	}
}

// Trips measures single items, up to n of them and until the limit has passed.
func Trips(c Caller, n int, limit time.Duration) (took []time.Duration, err error) {
	for start := time.Now(); len(took) < n && (len(took) == 0 || time.Since(start) < limit); {
		begin := time.Now()
		if err := c.Trip(len(took)); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}
