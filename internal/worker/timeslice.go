package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// timeSlice is how long a slot works on a batch before it gives the rest to
// others, half a timeSlice more at most: a batch should be about as much work.
const timeSlice = 10 * time.Millisecond

// A sliceClock tells slots when a time slice has passed. A timer for each batch would wake
// somebody for each item that comes alone; this is one for all, as long as they work.
type sliceClock struct {
	ticks atomic.Int64 // half time slices in which somebody worked
	look  func() bool  // at the slots, if none begins a time slice; returns whether to look again; may be nil

	mu      sync.Mutex
	left    int // ticks until it only looks
	timer   *time.Timer
	stopped bool
}

// lookPause is how often a clock looks at slots that have begun no time slice for a while.
const lookPause = time.Second

// begin begins a time slice and returns the tick that ends it.
func (c *sliceClock) begin() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	stood := c.left == 0
	c.left = 3 // the first one comes at any time
	switch {
	case c.timer == nil:
		c.timer = time.AfterFunc(timeSlice/2, c.tick)
	case stood:
		c.timer.Reset(timeSlice / 2)
	}
	return c.ticks.Load() + 3
}

func (c *sliceClock) tick() {
	c.ticks.Add(1)
	if !c.goesOn() && c.look != nil && c.look() {
		c.slow()
	}
}

// goesOn sets the timer for the next half time slice, if there is one.
func (c *sliceClock) goesOn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = max(0, c.left-1)
	if c.left > 0 {
		c.timer.Reset(timeSlice / 2)
	}
	return c.left > 0
}

// slow sets the timer for the next look, unless a time slice has begun.
func (c *sliceClock) slow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 && !c.stopped {
		c.timer.Reset(lookPause)
	}
}

// stop ends it; no time slice may follow.
func (c *sliceClock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
