package scale

import (
	"cmp"
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// A Fleet is the input of the simulation.
type Fleet struct {
	Nodes      int
	Partitions int
	Flows      int // each has an Executor of its own, which scatters and gathers
	Workers    int
	Hands      int     // slots of a worker
	Cost       float64 // seconds of the function for each item
	Speed      float64 // of a node, relative to the processor of the measured units
	Batch      int     // largest number of items of a batch; 0: the default
}

// A Forecast is the capacity of a fleet.
type Forecast struct {
	PerSecond   float64
	Batch       int
	Nodes       float64 // utilization of the busiest node
	Beats       float64 // largest share of a node that heartbeats take
	Hands       float64 // utilization of all slots
	Ends        float64 // utilization of the busiest producer or consumer
	Used        int     // nodes that have a partition
	Connections int     // blocked connections at the busiest node
	BytesOfNode float64 // per second, at the busiest node
}

const (
	// batchTime is the longest time of the function for one batch.
	batchTime = 8e-3
	// mostItems is the largest batch.
	mostItems = 4096
	// ahead is the largest number of batches of a flow in progress.
	ahead = 64
	// rounds is the number of simulated batches for each flow.
	rounds = 200
)

// Simulate moves batches through producer, node, slot, node, consumer and node. Producers,
// consumers and nodes serve one batch at a time, and all slots form one pool. Each flow keeps some
// batches in progress. The network is assumed to be no limit.
func (u Units) Simulate(f Fleet) Forecast {
	s := newSimulation(u, f)
	total := max(rounds*f.Flows, 20_000)
	warm, began := total/5, 0.0
	for flow := range f.Flows {
		for range ahead {
			s.send(flow)
		}
	}
	done := 0
	for ; done < total; done++ {
		if done == warm {
			began = s.now
			s.forget()
		}
		for s.step() {
		}
	}
	return s.forecast(float64((total-warm)*s.batch), s.now-began)
}

// A station serves in the order of arrival.
type station struct {
	free []float64 // time at which each of its servers is free
	busy float64   // in seconds
}

// serve returns the completion time of a job that arrives now.
func (t *station) serve(now, length float64) float64 {
	begin := max(now, t.free[0])
	t.busy += length
	t.free[0] = begin + length
	heap.Fix((*times)(&t.free), 0)
	return begin + length
}

type times []float64

func (t *times) Len() int           { return len(*t) }
func (t *times) Less(i, j int) bool { return (*t)[i] < (*t)[j] }
func (t *times) Swap(i, j int)      { (*t)[i], (*t)[j] = (*t)[j], (*t)[i] }
func (t *times) Push(x any)         { *t = append(*t, x.(float64)) }
func (t *times) Pop() any           { last := (*t)[len(*t)-1]; *t = (*t)[:len(*t)-1]; return last }

// An event is a batch that arrives at its next station.
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

type simulation struct {
	units     Units
	fleet     Fleet
	batch     int
	now       float64
	queue     events
	nodes     []*station
	slow      []float64 // slowdown of a node by heartbeats
	beats     float64
	hands     *station
	producers []*station
	consumers []*station
	nodeOf    []int // by flow
	parts     []int // number of partitions on each node
}

func newSimulation(u Units, f Fleet) *simulation {
	s := &simulation{units: u, fleet: f, batch: cmp.Or(f.Batch, mostItems), parts: make([]int, f.Nodes), hands: &station{free: make([]float64, f.Workers*f.Hands)}}
	if f.Cost > 0 {
		s.batch = min(max(int(batchTime/f.Cost), 1), s.batch)
	}
	home := make([]int, f.Partitions)
	for p := range home {
		home[p] = int(slot(fmt.Sprintf("dq:%d", p))) * f.Nodes / 16384
		s.parts[home[p]]++
	}
	for n := range f.Nodes {
		s.nodes = append(s.nodes, &station{free: make([]float64, 1)})
		beats := u.Beat * float64(f.Workers*s.parts[n]) / f.Speed
		s.beats = max(s.beats, beats)
		s.slow = append(s.slow, 1/max(1-beats, 1e-3)/f.Speed)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range f.Flows {
		s.producers = append(s.producers, &station{free: make([]float64, 1)})
		s.consumers = append(s.consumers, &station{free: make([]float64, 1)})
		h := fnv.New32a()
		_, _ = fmt.Fprint(h, random.Uint64())
		s.nodeOf = append(s.nodeOf, home[h.Sum32()%uint32(f.Partitions)])
	}
	return s
}

// The stations of a batch, in order. Each of its three visits to a node takes a third of the node's
// time.
const (
	scattering = iota
	working
	completing
	gathering
	acknowledging
	delivered
)

// send makes a producer start another batch.
func (s *simulation) send(flow int) {
	heap.Push(&s.queue, event{s.producers[flow].serve(s.now, s.units.Producer.Of(s.batch)), flow, scattering})
}

// step moves one batch to its next station. It returns false if the batch was delivered and its
// flow starts another one.
func (s *simulation) step() bool {
	e := heap.Pop(&s.queue).(event)
	s.now = e.at
	n := s.nodeOf[e.flow]
	switch e.stage {
	case scattering, completing, acknowledging:
		e.at = s.nodes[n].serve(s.now, s.units.Redis.Of(s.batch)/3*s.slow[n])
	case working:
		e.at = s.hands.serve(s.now, s.fleet.Cost*float64(s.batch)+s.units.Worker.Of(s.batch))
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

// forget starts the measurement.
func (s *simulation) forget() {
	for _, list := range [][]*station{s.nodes, s.producers, s.consumers, {s.hands}} {
		for _, t := range list {
			t.busy = 0
		}
	}
}

func (s *simulation) forecast(items, seconds float64) Forecast {
	f := Forecast{PerSecond: items / seconds, Batch: s.batch, Beats: s.beats, Hands: s.hands.busy / seconds / float64(len(s.hands.free))}
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
		batches := t.busy / (s.units.Redis.Of(s.batch) * s.slow[n])
		f.BytesOfNode = max(f.BytesOfNode, batches*s.units.Bytes.Of(s.batch)/seconds)
	}
	for _, list := range [][]*station{s.producers, s.consumers} {
		for _, t := range list {
			f.Ends = max(f.Ends, min(t.busy/seconds, 1))
		}
	}
	return f
}

// slot returns the slot of a Cluster for keys with this hash tag: CRC16 of XMODEM.
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
