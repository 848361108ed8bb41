package scale

import (
	"math"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

// A pool has the stages that its workers run, with the queues around them.
type pool struct {
	at      time.Time
	members []*inspect.Stage        // whose function the workers have
	within  map[*inspect.Stage]bool // the same
	queues  map[place]*inspect.Queue
	readers map[place]*inspect.Stage // of each queue, also other stages than members
	writers map[place]*inspect.Stage
	chains  map[*inspect.Stage]chain
	running []call
	live    int // workers
	slots   int // of these
}

// A place is the name of a queue with its partition.
type place struct {
	partition int
	queue     string
}

// A chain is a stage with the stages of the pool behind it.
type chain struct {
	time time.Duration // of an item in all of them
	most float64       // items a second that their limits let begin
}

// A call is a call that a slot of the pool runs.
type call struct {
	stage *inspect.Stage
	age   time.Duration
}

func poolOf(s *inspect.Snapshot, functions []string) *pool {
	p := &pool{
		at: s.At, queues: map[place]*inspect.Queue{}, readers: map[place]*inspect.Stage{}, writers: map[place]*inspect.Stage{},
		chains: map[*inspect.Stage]chain{}, within: map[*inspect.Stage]bool{},
	}
	has := func(function string) bool {
		return function != "" && (len(functions) == 0 || slices.Contains(functions, function))
	}
	for i := range s.Queues {
		p.queues[place{s.Queues[i].Partition, s.Queues[i].Name}] = &s.Queues[i]
	}
	stages := map[string]*inspect.Stage{}
	for i := range s.Stages {
		stage := &s.Stages[i]
		stages[stage.ID] = stage
		for _, in := range stage.In {
			p.readers[place{stage.Partition, in}] = stage
		}
		for _, out := range stage.Out {
			p.writers[place{stage.Partition, out}] = stage
		}
		if has(stage.Function) && len(stage.In) > 0 {
			p.members, p.within[stage] = append(p.members, stage), true
		}
	}
	for _, w := range s.Workers {
		if w.State == inspect.Silent || !slices.ContainsFunc(w.Functions, has) {
			continue
		}
		p.live, p.slots = p.live+1, p.slots+w.Concurrency
		for _, c := range w.Running {
			if stage := stages[c.Stage]; stage != nil && has(stage.Function) {
				p.running = append(p.running, call{stage, s.At.Sub(c.Since)})
			}
		}
	}
	for _, s := range p.members {
		p.chain(s)
	}
	return p
}

func (p *pool) in(s *inspect.Stage) place { return place{s.Partition, s.In[0]} }

func (p *pool) isMember(s *inspect.Stage) bool { return p.within[s] }

// cost returns the time of an item in a stage: of the last half minute if enough items were finished
// in it, and otherwise of all. Calls that have not returned count with the time that they have run.
func (p *pool) cost(s *inspect.Stage) time.Duration {
	busy, done := s.Recent.Busy, s.Recent.Done
	for _, c := range p.running {
		if c.stage == s && c.stage.Hung(c.age) {
			busy -= min(c.age, s.Recent.Length)
		}
	}
	slots := float64(busy) / float64(max(1, s.Recent.Length))
	if busy > 0 && float64(done) >= 2*slots && done > 0 {
		return busy / time.Duration(done)
	}
	if s.Cost > 0 {
		return s.Cost
	}
	longest := guessed
	for _, c := range p.running {
		if c.stage == s && !c.stage.Hung(c.age) {
			longest = max(longest, c.age)
		}
	}
	return longest
}

// chain returns the chain that begins with a stage.
func (p *pool) chain(s *inspect.Stage) chain {
	if total, known := p.chains[s]; known {
		return total
	}
	total := chain{most: math.Inf(1)}
	if p.isMember(s) {
		total = chain{p.cost(s), mostOf(s, p.cost(s))}
	}
	p.chains[s] = total // for a circle of stages
	for _, out := range s.Out {
		next := p.readers[place{s.Partition, out}]
		if next != nil && (p.isMember(next) || next.Function == "") { // a stage without a function copies
			behind := p.chain(next)
			total.time, total.most = total.time+behind.time, min(total.most, behind.most)
		}
	}
	p.chains[s] = total
	return total
}

// mostOf returns the items a second that the limits of a stage let begin.
func mostOf(s *inspect.Stage, cost time.Duration) float64 {
	most := math.Inf(1)
	if s.MaxRate > 0 {
		most = s.MaxRate
	}
	if s.MaxConcurrency > 0 && cost > 0 {
		most = min(most, float64(s.MaxConcurrency)/cost.Seconds())
	}
	return most
}

// isRoot reports whether the items of a stage come from outside the pool. Otherwise its work is part
// of the chain of the stage before it.
func (p *pool) isRoot(s *inspect.Stage) bool {
	from := p.writers[p.in(s)]
	for hops := 0; from != nil && from.Function == "" && len(from.In) > 0 && hops < len(p.writers); hops++ {
		from = p.writers[p.in(from)]
	}
	return from == nil || !p.isMember(from)
}

// came returns the items that have come to a stage so far.
func (p *pool) came(s *inspect.Stage) int64 {
	q := p.queues[p.in(s)]
	return q.Added + q.Fused
}

// arrivals returns the items a second that come to a stage, by one snapshot. It is 0 for a stage that
// no worker has run lately.
func (p *pool) arrivals(s *inspect.Stage) float64 {
	r := s.Recent
	if r.Start.IsZero() {
		return 0
	}
	return max(0, float64(p.came(s)-r.Added-r.Fused)) / max(window, p.at.Sub(r.Start)).Seconds()
}

// limited returns the stages that wait for room in a queue that the pool does not read, or whose
// reader is limited itself.
func (p *pool) limited() map[*inspect.Stage]bool {
	found := map[*inspect.Stage]bool{}
	for range p.members { // at most one more stage before the others each time
		before := len(found)
		for _, s := range p.members {
			if p.waitsForRoom(s, found) {
				found[s] = true
			}
		}
		if len(found) == before {
			break
		}
	}
	return found
}

// waitsForRoom reports whether a stage is limited, if those in found are.
func (p *pool) waitsForRoom(s *inspect.Stage, found map[*inspect.Stage]bool) bool {
	waits := s.FullShare() >= fullPart
	return slices.ContainsFunc(s.Out, func(out string) bool {
		at := place{s.Partition, out}
		q, next := p.queues[at], p.readers[at]
		full := waits || q != nil && q.Full
		return full && (next == nil || !p.isMember(next) || found[next])
	})
}

// count adds up the slots that the pool needs.
func (p *pool) count(o Options, last Decision, d *Decision) {
	limited, came, left := p.limited(), map[string]int64{}, p.left(o, d.Oldest)
	var load, arrived, drain float64 // slots; of arrived, seconds of items that have come since last
	var items int64
	for _, s := range p.members {
		q := p.queues[p.in(s)]
		switch {
		case q == nil:
			continue
		case s.Paused:
			if q.Unread() > 0 {
				d.LimitedBy = ByPause
			}
			continue
		}
		chain, waiting, arrivals := p.chain(s), q.Waiting+q.Requeued+q.Suspects+max(0, q.Running-q.Batches), p.arrivals(s)
		most := chain.most
		if limited[s] {
			waiting, most, d.LimitedBy = 0, min(s.Rate, most), ByReader
		}
		if p.isRoot(s) {
			load += min(arrivals, most) * chain.time.Seconds()
			came[s.ID] = p.came(s)
			if before, known := last.memory.came[s.ID]; known {
				passed := p.at.Sub(last.At).Seconds()
				arrived += min(max(0, float64(came[s.ID]-before)), most*passed) * chain.time.Seconds()
			}
		}
		wish := float64(waiting) / left.Seconds()
		if spare := max(0, most-arrivals); wish > spare {
			wish, d.LimitedBy = spare, ByLimit
		}
		drain, items = drain+wish*chain.time.Seconds(), items+waiting+q.Batches
	}
	d.memory = last.memory.next(last.At, p.at, came, arrived)
	if steady, ok := d.memory.load(); ok {
		load = steady
	}
	d.Load, d.Drain = load/o.Utilisation, drain
	p.countCalls(float64(items), d)
}

// left returns the time in which the items that wait have to be finished.
func (p *pool) left(o Options, oldest time.Duration) time.Duration {
	var longest time.Duration
	for _, s := range p.members {
		if p.queues[p.in(s)] != nil && !s.Paused {
			longest = max(longest, p.chain(s).time)
		}
	}
	return max(o.Target-longest-oldest, time.Duration(soonest*float64(o.Target)), time.Second)
}

// countCalls finishes count: there are never more slots than items, and a worker with a long call is
// not ended for a lower number.
func (p *pool) countCalls(items float64, d *Decision) {
	long := 0
	for _, c := range p.running {
		switch {
		case c.stage.Hung(c.age):
			d.Hung++
		case c.age > longCall:
			long++
		}
	}
	d.Slots = max(min(d.Load+d.Drain, items+math.Ceil(d.Load)), float64(long)) + float64(d.Hung)
}

// items returns the items that are not finished.
func (p *pool) items() (n int64) {
	for _, s := range p.members {
		if q := p.queues[p.in(s)]; q != nil && !s.Paused {
			n += q.Unread() + q.Running
		}
	}
	return n
}

// oldest returns the age of the oldest item that waits.
func (p *pool) oldest() (age time.Duration) {
	for _, s := range p.members {
		if q := p.queues[p.in(s)]; q != nil && !s.Paused && !q.Oldest.IsZero() {
			age = max(age, p.at.Sub(q.Oldest))
		}
	}
	return age
}

// active returns when the workers have last reported work.
func (p *pool) active() (last time.Time) {
	for _, s := range p.members {
		last = latest(last, s.Last)
	}
	return last
}

// tries adds the attempts so far to those of earlier Decisions. Without an earlier one, it takes the
// items of the last half minute for its attempts.
func (p *pool) tries(earlier []tries) []tries {
	now, recent := tries{at: p.at}, tries{}
	for _, s := range p.members {
		now.all, now.failed = now.all+s.Done+s.Retried, now.failed+s.Failed+s.Retried
		recent.all, recent.failed = recent.all+s.Recent.Done, recent.failed+s.Recent.Failed
	}
	if k := len(earlier) - 1; k < 0 || now.all < earlier[k].all || now.failed < earlier[k].failed { // a stage was deleted
		return []tries{{at: p.at.Add(-window), all: now.all - recent.all, failed: now.failed - recent.failed}, now}
	}
	all := append(slices.Clone(earlier), now)
	for len(all) > 2 && p.at.Sub(all[1].at) >= window {
		all = all[1:]
	}
	return all
}
