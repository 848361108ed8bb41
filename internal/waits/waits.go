// Package waits measures the time for which goroutines wait.
package waits

import (
	"math"
	"slices"
	"sync"
	"time"
)

const (
	// window is the time that a share is of.
	window = 10 * time.Second
	// step is the least time between two marks.
	step = time.Second
)

// A Clock measures the share of the last ten seconds in which at least one goroutine waited. Any
// goroutine may call Begin and End: each call of Begin has one of End. One goroutine calls Read.
type Clock struct {
	start time.Time

	mu      sync.Mutex
	waiting int           // goroutines that wait
	since   time.Duration // when the first of them began, from start on
	total   time.Duration // of the waits that have ended

	marks []mark // of earlier calls of Read, the oldest first; it has at least one
}

// A mark is the total at a time.
type mark struct{ at, total time.Duration }

// A Reading is what a Clock shows.
type Reading struct {
	Percent int           // of the time
	For     time.Duration // since the present wait has begun; 0: no goroutine waits
}

// New returns a Clock for a goroutine that begins.
func New() *Clock { return &Clock{start: time.Now(), marks: make([]mark, 1)} }

// Begin begins a wait.
func (c *Clock) Begin() {
	now := time.Since(c.start)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting++; c.waiting == 1 {
		c.since = now
	}
}

// End ends a wait.
func (c *Clock) End() {
	now := time.Since(c.start)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting--; c.waiting == 0 {
		c.total += max(0, now-c.since)
	}
}

// Read returns the share since the last call of Read that is ten seconds ago, or since the start.
func (c *Clock) Read() (r Reading) {
	total, now := c.at(&r)
	passed := 0
	for passed+1 < len(c.marks) && now-c.marks[passed+1].at >= window {
		passed++
	}
	c.marks = slices.Delete(c.marks, 0, passed)
	if first := c.marks[0]; now > first.at {
		r.Percent = int(math.Round(100 * float64(total-first.total) / float64(now-first.at)))
	}
	if now-c.marks[len(c.marks)-1].at >= step {
		c.marks = append(c.marks, mark{now, total})
	}
	return r
}

// at returns the total and the time now, and sets the duration of the present wait.
func (c *Clock) at(r *Reading) (total, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, total = time.Since(c.start), c.total
	if c.waiting > 0 {
		r.For = max(1, now-c.since)
		total += now - c.since
	}
	return total, now
}
