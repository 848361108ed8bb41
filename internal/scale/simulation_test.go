package scale_test

import (
	"container/heap"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/scale"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// The paces of a simulated fleet.
const (
	reportEvery = 2 * time.Second
	viewEvery   = 10 * time.Second
	ringSlot    = 10 * time.Second
)

var epoch = time.UnixMilli(1_764_446_400_000)

// A model is a flow in virtual time: a source, a queue, a stage that a fleet runs, and a gather. Its
// fleet has the size that Decide wants, after the time that workers take to start.
type model struct {
	options scale.Options
	pace    time.Duration                 // between two decisions
	cost    time.Duration                 // of an item in the mean
	rate    func(t time.Duration) float64 // items a second that arrive
	failing func(t time.Duration) bool
	outage  func(t time.Duration) bool
	taken   float64 // results a second that the gather takes, 0 for any number
	room    int     // for results
	most    int     // items that may wait, 0 for any number: the source drops further ones

	now     time.Duration
	random  *rand.Rand
	events  events
	waiting []time.Duration // arrivals of the waiting items
	late    int             // items that producers hold during an outage
	results int             // that the gather has not taken
	workers []*worker
	ring    map[int64]*inspect.Work
	added   int64
	done    int64
	failed  int64
	spent   time.Duration
	last    time.Duration // of the last report
	unsent  inspect.Work
	view    watch.View

	decision scale.Decision
	numbers  []number
	latency  []served
	paid     time.Duration // by workers, from their start
	starts   int
}

type number struct {
	at      time.Duration
	workers int
}

type served struct{ came, took time.Duration }

type worker struct {
	from   time.Duration // start
	ready  time.Duration
	calls  []*call
	ending bool
}

// A call is the call of an item. Its result may wait for the end of an outage.
type call struct{ came, begun, length time.Duration }

// busy returns the time of a call since the last report.
func (m *model) busy(c *call) time.Duration {
	return max(0, min(m.now, c.begun+c.length)-max(c.begun, m.last))
}

type event struct {
	at time.Duration
	do func()
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (m *model) after(d time.Duration, do func()) { heap.Push(&m.events, event{m.now + d, do}) }

func (m *model) every(d time.Duration, do func()) {
	do()
	m.after(d, func() { m.every(d, do) })
}

func (m *model) isAway() bool { return m.outage != nil && m.outage(m.now) }

// run runs the model for a time.
func (m *model) run(length time.Duration) {
	m.random, m.ring = rand.New(rand.NewPCG(1, 2)), map[int64]*inspect.Work{}
	m.every(100*time.Millisecond, m.arrive)
	m.every(reportEvery, m.report)
	m.every(viewEvery, m.look)
	m.every(m.pace, m.decide)
	if m.taken > 0 {
		m.every(time.Duration(float64(time.Second)/m.taken), func() {
			m.results = max(0, m.results-1)
			m.take()
		})
	}
	for m.now < length {
		e := heap.Pop(&m.events).(event)
		m.now = e.at
		e.do()
	}
	for _, w := range m.workers {
		m.paid += m.now - w.from
	}
}

// arrive adds the items of a tenth of a second.
func (m *model) arrive() {
	n := m.poisson(m.rate(m.now) / 10)
	if m.isAway() {
		m.late += n
		return
	}
	n, m.late = n+m.late, 0
	m.add(n)
}

func (m *model) add(n int) {
	if m.most > 0 {
		n = max(0, min(n, m.most-len(m.waiting)))
	}
	for range n {
		m.waiting = append(m.waiting, m.now)
	}
	m.added += int64(n)
	m.take()
}

// poisson returns a random number with a mean.
func (m *model) poisson(mean float64) int {
	if mean > 30 {
		return max(0, int(mean+m.random.NormFloat64()*math.Sqrt(mean)+0.5))
	}
	n, p := 0, math.Exp(-mean)
	for x := m.random.Float64(); x > p; x *= m.random.Float64() {
		n++
	}
	return n
}

// take gives waiting items to free slots.
func (m *model) take() {
	if m.isAway() {
		return
	}
	for _, w := range m.workers {
		for w.ready <= m.now && !w.ending && len(w.calls) < m.options.Slots && len(m.waiting) > 0 {
			if m.room > 0 && m.results >= m.room {
				return
			}
			c := &call{m.waiting[0], m.now, time.Duration((0.5 + m.random.Float64()) * float64(m.cost))}
			m.waiting, w.calls = m.waiting[1:], append(w.calls, c)
			m.results++
			m.after(c.length, func() { m.finish(w, c) })
		}
	}
}

func (m *model) finish(w *worker, c *call) {
	if m.isAway() {
		m.after(time.Second, func() { m.finish(w, c) })
		return
	}
	w.calls = slices.DeleteFunc(w.calls, func(other *call) bool { return other == c })
	m.done, m.spent = m.done+1, m.spent+c.length
	m.unsent.Done++
	m.unsent.Busy += m.busy(c)
	if m.failing != nil && m.failing(m.now) {
		m.failed++
		m.unsent.Failed++
	}
	m.latency = append(m.latency, served{c.came, m.now - c.came})
	m.end(w)
	m.take()
}

// end ends a worker that was told to and has no call.
func (m *model) end(w *worker) {
	if w.ending && len(w.calls) == 0 {
		m.paid += m.now - w.from
		m.workers = slices.DeleteFunc(m.workers, func(other *worker) bool { return other == w })
	}
}

// report adds the counts of the fleet to the ring.
func (m *model) report() {
	if m.isAway() {
		return
	}
	for _, w := range m.workers {
		for _, c := range w.calls {
			m.unsent.Busy += m.busy(c)
		}
		if w.ready <= m.now && m.room > 0 && m.results >= m.room && len(m.waiting) > 0 {
			m.unsent.Full += m.now - m.last
		}
	}
	m.last = m.now
	if m.unsent.Done == 0 && m.unsent.Busy == 0 && m.unsent.Full == 0 {
		return
	}
	slot := int64(m.now / ringSlot)
	if m.ring[slot] == nil {
		m.ring[slot] = &inspect.Work{Start: epoch.Add(time.Duration(slot) * ringSlot), Added: m.added}
	}
	r := m.ring[slot]
	r.Done, r.Failed, r.Busy, r.Full = r.Done+m.unsent.Done, r.Failed+m.unsent.Failed, r.Busy+m.unsent.Busy, r.Full+m.unsent.Full
	m.unsent = inspect.Work{}
}

// recent is the work of the half minute, as a snapshot has it.
func (m *model) recent() (w inspect.Work) {
	for slot := int64(m.now/ringSlot) - 3; slot <= int64(m.now/ringSlot); slot++ {
		r := m.ring[slot]
		if r == nil {
			continue
		}
		if w.Start.IsZero() {
			w = *r
			w.Length = max(ringSlot, epoch.Add(m.now).Sub(w.Start))
			continue
		}
		w.Done, w.Failed, w.Busy, w.Full = w.Done+r.Done, w.Failed+r.Failed, w.Busy+r.Busy, w.Full+r.Full
	}
	return w
}

// look reads the namespace.
func (m *model) look() {
	if m.isAway() {
		m.view.Err = errors.New("away")
		return
	}
	at, running, full := epoch.Add(m.now), int64(0), m.room > 0 && m.results >= m.room
	s := inspect.Snapshot{At: at}
	stage := inspect.Stage{ID: "out", Function: "f", In: []string{"in"}, Out: []string{"out"}, Done: m.done, Failed: m.failed, Recent: m.recent(), P99: 3 * m.cost / 2}
	for _, w := range m.workers {
		if w.ready > m.now || w.ending {
			continue
		}
		info := inspect.Worker{State: inspect.Live, Concurrency: m.options.Slots, Functions: []string{"f"}}
		for _, c := range w.calls {
			running++
			if m.now-c.begun > time.Second {
				info.Running = append(info.Running, inspect.Call{Stage: "out", Function: "f", Since: epoch.Add(c.begun)})
			}
		}
		s.Workers = append(s.Workers, info)
		stage.Workers, stage.Slots = stage.Workers+1, stage.Slots+m.options.Slots
	}
	if m.done > 0 {
		stage.Cost = m.spent / time.Duration(m.done)
	}
	if stage.Recent.Length > 0 {
		stage.Rate, stage.Last = float64(stage.Recent.Done)/stage.Recent.Length.Seconds(), epoch.Add(m.last)
	}
	q := inspect.Queue{Name: "in", Waiting: int64(len(m.waiting)), Running: running, Batches: running, Added: m.added}
	if len(m.waiting) > 0 {
		q.Oldest = epoch.Add(m.waiting[0])
	}
	s.Queues, s.Stages = []inspect.Queue{q, {Name: "out", Full: full}}, []inspect.Stage{stage}
	m.view = watch.View{Snapshot: s, At: at}
}

// decide starts and ends workers.
func (m *model) decide() {
	m.decision = scale.Decide(m.view, m.options, m.decision)
	m.numbers = append(m.numbers, number{m.now, m.decision.Workers})
	staying := 0
	for _, w := range m.workers {
		if !w.ending {
			staying++
		}
	}
	for ; staying < m.decision.Workers; staying++ {
		start := 10*time.Second + time.Duration(m.random.Int64N(int64(10*time.Second)))
		m.workers = append(m.workers, &worker{from: m.now, ready: m.now + start})
		m.starts++
		m.after(start, m.take)
	}
	for i := len(m.workers) - 1; i >= 0 && staying > m.decision.Workers; i-- {
		if w := m.workers[i]; !w.ending {
			w.ending = true
			staying--
			m.end(w)
		}
	}
}
