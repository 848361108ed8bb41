package workers

import (
	"sync"
	"sync/atomic"
	"time"
)

// spell is how long a slot works on a batch before it gives the rest to
// others, half a spell more at most: a batch should be about as much work.
const spell = 10 * time.Millisecond

// A clock tells slots when a spell has passed. A timer for each batch would wake
// somebody for each item that comes alone; this is one for all, as long as they work.
type clock struct {
	ticks atomic.Int64 // half spells in which somebody worked
	look  func() bool  // at the slots, if none begins a spell; returns whether to look again; may be nil

	mu      sync.Mutex
	left    int // ticks until it only looks
	timer   *time.Timer
	stopped bool
}

// lookPause is how often a clock looks at slots that have begun no spell for a while.
const lookPause = time.Second

// spell begins one and returns the tick that ends it.
func (c *clock) spell() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	stood := c.left == 0
	c.left = 3 // the first one comes at any time
	switch {
	case c.timer == nil:
		c.timer = time.AfterFunc(spell/2, c.tick)
	case stood:
		c.timer.Reset(spell / 2)
	}
	return c.ticks.Load() + 3
}

func (c *clock) tick() {
	c.ticks.Add(1)
	if !c.goesOn() && c.look != nil && c.look() {
		c.slow()
	}
}

// goesOn sets the timer for the next half spell, if there is one.
func (c *clock) goesOn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = max(0, c.left-1)
	if c.left > 0 {
		c.timer.Reset(spell / 2)
	}
	return c.left > 0
}

// slow sets the timer for the next look, unless a spell has begun.
func (c *clock) slow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 && !c.stopped {
		c.timer.Reset(lookPause)
	}
}

// stop ends it; no spell may follow.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
