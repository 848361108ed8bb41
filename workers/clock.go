package workers

import (
	"sync"
	"sync/atomic"
	"time"
)

// spell is how long a hand works on a batch before it gives the rest to
// others, half a spell more at most: a batch should be about as much work.
const spell = 10 * time.Millisecond

// A clock tells hands when a spell has passed. A timer for each batch would wake
// somebody for each item that comes alone; this is one for all, as long as they work.
type clock struct {
	ticks atomic.Int64 // half spells in which somebody worked

	mu    sync.Mutex
	left  int // ticks until it stops
	timer *time.Timer
}

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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticks.Add(1)
	if c.left--; c.left > 0 {
		c.timer.Reset(spell / 2)
	}
}

// stop ends it; no spell may follow.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}
