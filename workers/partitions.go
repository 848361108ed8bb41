package workers

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A partitionSet is the lives of a worker, one in each partition, and what they share:
// of all their slots no more work at a time than the worker's concurrency.
type partitionSet struct {
	ready  chan struct{} // closed when there has been a session in each partition
	tokens chan struct{} // a token for each item that runs, nil with one partition: its slots are all there are

	ok     atomic.Int64 // items done, of them failed
	failed atomic.Int64
	left   atomic.Int64 // functions that did not return and were left behind

	mates atomic.Pointer[[]*session] // those that go on; never changed in place

	mu    sync.Mutex
	lives map[*session]struct{}
	empty map[*broker.Client]struct{} // partitions that have had no session yet
}

func newPartitionSet() partitionSet {
	return partitionSet{ready: make(chan struct{}), lives: map[*session]struct{}{}, empty: map[*broker.Client]struct{}{}}
}

// open makes room in partitions.
func (c *partitionSet) open(parts []*broker.Client, concurrency int) {
	for _, part := range parts {
		c.empty[part] = struct{}{}
	}
	if len(parts) > 1 {
		c.tokens = make(chan struct{}, concurrency)
	}
}

func (c *partitionSet) enter(l *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lives[l] = struct{}{}
	c.publish()
	if _, first := c.empty[l.client]; first {
		delete(c.empty, l.client)
		if len(c.empty) == 0 {
			close(c.ready)
		}
	}
}

func (c *partitionSet) exit(l *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lives, l)
	c.publish()
}

func (c *partitionSet) publish() {
	all := slices.Collect(maps.Keys(c.lives))
	c.mates.Store(&all)
}

// all are the lives that go on.
func (c *partitionSet) all() []*session {
	if all := c.mates.Load(); all != nil {
		return *all
	}
	return nil
}

// free is how many more slots may work, as far as other partitions are concerned.
func (c *partitionSet) free() int {
	if c.tokens == nil {
		return math.MaxInt
	}
	return cap(c.tokens) - len(c.tokens)
}

// begin waits until one more slot may work.
func (c *partitionSet) begin() {
	if c.tokens != nil {
		c.tokens <- struct{}{}
	}
}

// end is called by a slot that worked. All sessions hear of it.
func (c *partitionSet) end() {
	if c.tokens != nil {
		<-c.tokens
	}
	for _, l := range c.all() {
		select {
		case l.freed <- struct{}{}:
		default:
		}
	}
}
