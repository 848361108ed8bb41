package scale

import (
	"cmp"
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// A Fleet is the input of a simulation.
type Fleet struct {
	Nodes      int
	Partitions int
	Flows      int // each with an Executor of its own for both ends
	Workers    int
	Slots      int     // of a worker
	Cost       float64 // of an item in the function, in seconds
	Speed      float64 // of a node, relative to the processor of the units
	Batch      int     // most items of a batch; 0: the default
}

// A Forecast is the throughput of a fleet, and the load of its parts from 0 to 1.
type Forecast struct {
	PerSecond   float64
	Batch       int
	Nodes       float64 // the busiest node
	Beats       float64 // heartbeats at the node with most of them
	Slots       float64 // all slots
	Callers     float64 // the busiest producer or consumer
	Used        int     // nodes with a partition
	Connections int     // blocked connections of the busiest node
	BytesOfNode float64 // a second, at the busiest node
}

const (
	// batchTime is the longest time of the function for one batch.
	batchTime = 8e-3
	// crowdTime and crowdItems bound a batch of dear items when more of them wait than a send takes.
	crowdTime  = 80e-3
	crowdItems = 8
	// mostItems is the largest batch.
	mostItems = 4096
	// window is the least number of batches of a flow in flight, of one send. Workers that take longer than a
	// send have two batches for each slot of theirs.
	window = 64
	// rounds is the number of batches of each flow in a simulation.
	rounds = 200
)

// Simulate moves batches in circles: producer, node, slot, node, consumer, node. A producer, a
// consumer or a node processes one batch after the other. All slots are one pool, and the network has
// no limit.
func (u Units) Simulate(f Fleet) Forecast {
	s := newSimulation(u, f)
	window := max(window, 2*f.Workers*f.Slots/f.Flows)
	total := max(rounds*f.Flows, 20_000, 5*window*f.Flows)
	warm, began := total/5, 0.0
	for flow := range f.Flows {
		for range window {
			s.send(flow)
		}
	}
	for done := range total {
		if done == warm {
			began = s.now
			for _, t := range s.stations() {
				t.busy = 0
			}
		}
		for s.step() {
		}
	}
	return s.forecast(float64((total-warm)*s.batch), s.now-began)
}

// An event is the arrival of a batch at its next station, or the time at which a server is free.
type event struct {
	at    float64
	flow  int
	stage int
}

type events []event

func (e *events) Len() int           { return len(*e) }
func (e *events) Less(i, j int) bool { return (*e)[i].at < (*e)[j].at }
func (e *events) Swap(i, j int)      { (*e)[i], (*e)[j] = (*e)[j], (*e)[i] }
func (e *events) Push(x any)         { *e = append(*e, x.(event)) }
func (e *events) Pop() any           { last := (*e)[len(*e)-1]; *e = (*e)[:len(*e)-1]; return last }

// A station has servers and serves in the order of arrival.
type station struct {
	free events  // of each server
	busy float64 // seconds of all servers
}

func newStation(servers int) *station { return &station{free: make(events, servers)} }

// serve returns the end of the service of a batch that arrives now.
func (t *station) serve(now, length float64) float64 {
	end := max(now, t.free[0].at) + length
	t.busy += length
	t.free[0].at = end
	heap.Fix(&t.free, 0)
	return end
}

type simulation struct {
	units     Units
	fleet     Fleet
	batch     int
	redis     float64 // time of Redis for a batch
	now       float64
	queue     events
	nodes     []*station
	slow      []float64 // factor of the times of a node, for its speed and its heartbeats
	beats     float64
	slots     *station
	producers []*station
	consumers []*station
	nodeOf    []int // by flow
	parts     []int // partitions of each node
}

func newSimulation(u Units, f Fleet) *simulation {
	s := &simulation{units: u, fleet: f, batch: cmp.Or(f.Batch, mostItems), parts: make([]int, f.Nodes), slots: newStation(f.Workers * f.Slots)}
	if f.Cost > 0 {
		s.batch = min(max(int(batchTime/f.Cost), min(int(crowdTime/f.Cost), crowdItems), 1), s.batch)
	}
	s.redis = u.Redis.Of(s.batch)
	if f.Cost*float64(s.batch) >= dearFrom {
		s.redis = max(s.redis, u.dear(f.Slots))
	}
	home := make([]int, f.Partitions)
	for p := range home {
		home[p] = int(slot(fmt.Sprintf("dq:%d", p))) * f.Nodes / 16384
		s.parts[home[p]]++
	}
	for n := range f.Nodes {
		s.nodes = append(s.nodes, newStation(1))
		beats := u.Beat * float64(f.Workers*s.parts[n]) / f.Speed
		s.beats = max(s.beats, beats)
		s.slow = append(s.slow, 1/max(1-beats, 1e-3)/f.Speed)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range f.Flows {
		s.producers = append(s.producers, newStation(1))
		s.consumers = append(s.consumers, newStation(1))
		h := fnv.New32a()
		_, _ = fmt.Fprint(h, random.Uint64())
		s.nodeOf = append(s.nodeOf, home[h.Sum32()%uint32(f.Partitions)])
	}
	return s
}

// stations are all of them.
func (s *simulation) stations() []*station {
	return append(append(append([]*station{s.slots}, s.nodes...), s.producers...), s.consumers...)
}

// The stations of a batch in order. Each visit of a node takes a third of the time of Redis.
const (
	scattering = iota
	working
	completing
	gathering
	acknowledging
	delivered
)

// send starts another batch of a flow.
func (s *simulation) send(flow int) {
	heap.Push(&s.queue, event{s.producers[flow].serve(s.now, s.units.Producer.Of(s.batch)), flow, scattering})
}

// step moves one batch to its next station. It returns false for a delivered batch, whose flow sends
// another one.
func (s *simulation) step() bool {
	e := heap.Pop(&s.queue).(event)
	s.now = e.at
	n := s.nodeOf[e.flow]
	switch e.stage {
	case scattering, completing, acknowledging:
		e.at = s.nodes[n].serve(s.now, s.redis/3*s.slow[n])
	case working:
		e.at = s.slots.serve(s.now, s.fleet.Cost*float64(s.batch)+s.units.Worker.Of(s.batch))
	case gathering:
		e.at = s.consumers[e.flow].serve(s.now, s.units.Consumer.Of(s.batch))
	case delivered:
		s.send(e.flow)
		return false
	}
	e.stage++
	heap.Push(&s.queue, e)
	return true
}

func (s *simulation) forecast(items, seconds float64) Forecast {
	f := Forecast{PerSecond: items / seconds, Batch: s.batch, Beats: s.beats, Slots: s.slots.busy / seconds / float64(len(s.slots.free))}
	flows := make([]int, len(s.nodes))
	for _, n := range s.nodeOf {
		flows[n]++
	}
	for n, t := range s.nodes {
		f.Nodes = max(f.Nodes, min(t.busy/seconds, 1))
		f.Connections = max(f.Connections, s.fleet.Workers*s.parts[n]+2*flows[n])
		if s.parts[n] > 0 {
			f.Used++
		}
		batches := t.busy / (s.redis * s.slow[n])
		f.BytesOfNode = max(f.BytesOfNode, batches*s.units.Bytes.Of(s.batch)/seconds)
	}
	for flow := range s.producers {
		f.Callers = max(f.Callers, min(s.producers[flow].busy/seconds, 1), min(s.consumers[flow].busy/seconds, 1))
	}
	return f
}

// slot is the slot of a hash tag in a Cluster: CRC16 of XMODEM.
func slot(tag string) uint16 {
	crc := uint16(0)
	for _, b := range []byte(tag) {
		crc ^= uint16(b) << 8
		for range 8 {
			if carry := crc & 0x8000; carry != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % 16384
}
