package worker

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A partitionSet is the sessions of a worker, one in each partition. Their slots together run no more
// calls at a time than the concurrency of the worker.
type partitionSet struct {
	ready   chan struct{}              // closed when there has been a session in each partition
	gate    atomic.Pointer[gate]       // of the slots that work; nil: one partition and a fixed concurrency, whose slots are the only ones
	running atomic.Pointer[[]*session] // replaced as a whole

	mu    sync.Mutex
	set   map[*session]struct{}
	empty map[*broker.Client]struct{} // partitions that have had no session yet
}

func newPartitionSet() *partitionSet {
	return &partitionSet{ready: make(chan struct{}), set: map[*session]struct{}{}, empty: map[*broker.Client]struct{}{}}
}

// open prepares the set for partitions. g may be nil.
func (p *partitionSet) open(parts []*broker.Client, g *gate) {
	for _, part := range parts {
		p.empty[part] = struct{}{}
	}
	p.gate.Store(g)
}

func (p *partitionSet) enter(l *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set[l] = struct{}{}
	p.publish()
	if _, first := p.empty[l.client]; first {
		delete(p.empty, l.client)
		if len(p.empty) == 0 {
			close(p.ready)
		}
	}
}

func (p *partitionSet) exit(l *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.set, l)
	p.publish()
}

func (p *partitionSet) publish() {
	all := slices.Collect(maps.Keys(p.set))
	p.running.Store(&all)
}

// sessions returns the sessions that run.
func (p *partitionSet) sessions() []*session {
	if all := p.running.Load(); all != nil {
		return *all
	}
	return nil
}

// resize changes the number of slots that may work at once, where it may change.
func (p *partitionSet) resize(concurrency int) {
	if g := p.gate.Load(); g != nil {
		g.resize(concurrency)
	}
}

// free returns how many more slots may work besides those of all partitions.
func (p *partitionSet) free() int {
	if g := p.gate.Load(); g != nil {
		return g.free()
	}
	return math.MaxInt
}

// begin waits until one more slot may work.
func (p *partitionSet) begin() {
	if g := p.gate.Load(); g != nil {
		g.enter()
	}
}

// end notes that a slot has stopped working, and wakes the fetchers of all sessions.
func (p *partitionSet) end() {
	if g := p.gate.Load(); g != nil {
		g.exit()
	}
	for _, l := range p.sessions() {
		select {
		case l.freed <- struct{}{}:
		default:
		}
	}
}
