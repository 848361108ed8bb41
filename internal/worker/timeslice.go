package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// timeSlice is the time that a slot works on a batch before it passes the rest to others, plus at
// most half of it. A batch should be about as much work.
const timeSlice = 10 * time.Millisecond

// A sliceClock tells slots that a time slice has passed. It is one timer for all slots while they
// work: a timer for each batch would wake a goroutine for each item that comes alone.
type sliceClock struct {
	ticks atomic.Int64 // half time slices in which a slot worked
	look  func() bool  // called while no slot begins a time slice; reports whether to call it again; may be nil

	mu      sync.Mutex
	left    int // ticks until it only calls look
	timer   *time.Timer
	stopped bool
}

// lookPause is the time between two calls of look.
const lookPause = time.Second

// begin begins a time slice and returns the tick that ends it.
func (c *sliceClock) begin() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	stood := c.left == 0
	c.left = 3 // the first tick may come at once
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

// goesOn sets the timer for the next half time slice, if one follows.
func (c *sliceClock) goesOn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = max(0, c.left-1)
	if c.left > 0 {
		c.timer.Reset(timeSlice / 2)
	}
	return c.left > 0
}

// slow sets the timer for the next call of look, unless a time slice has begun.
func (c *sliceClock) slow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 && !c.stopped {
		c.timer.Reset(lookPause)
	}
}

// stop stops the timer. No time slice may begin afterwards.
func (c *sliceClock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
