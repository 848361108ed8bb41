package inspect

import (
	"cmp"
	"slices"
	"time"
)

// Flow describes a flow: queues that stages connect, from the ones that programs scatter into to
// those that programs gather.
type Flow struct {
	Name   string   `json:"name"`   // of the first of its queues that a program scatters into
	Chain  []string `json:"chain"`  // the functions of its stages, those behind others later
	Queues []string `json:"queues"` // likewise
	Stages []string `json:"stages"` // ids, likewise
	// State is "stuck" if items wait and no worker can run their stage, or no item was done for a
	// while; "paused" if they wait and the stage is paused, "running", "waiting" if no item runs now,
	// "idle" if it has no items and may get some, or "done".
	State   string `json:"state"`
	Why     string `json:"why"`     // why items do not move, "" if they do or the reason is not known
	Remedy  string `json:"remedy"`  // what to do about it, "" if nothing
	Waiting int64  `json:"waiting"` // items in its queues that no consumer has read, wherever they are
	Running int64  `json:"running"` // items that a worker or a gather has read and not finished
	// Oldest is when the oldest of the waiting batches came into its queue, zero if none waits.
	Oldest time.Time `json:"oldest,omitzero"`
	// OldestScattered is when the oldest of the waiting batches was scattered, see Queue.
	OldestScattered time.Time `json:"oldest_scattered,omitzero"`

	Sources int64   `json:"sources"`  // that are not delivered to their end
	RateIn  float64 `json:"rate_in"`  // items a second that have come into it, over the last half minute
	RateOut float64 `json:"rate_out"` // items a second that its last stages have finished, likewise
	Failed  int64   `json:"failed"`   // items of its stages that have failed in the last five minutes
	// ETA is the time until its stages have finished all items that were scattered, with as much work a
	// second as over the last half minute; 0 if that is not known, or while a program scatters more.
	ETA time.Duration `json:"eta_ns,omitempty"`
	// Bottleneck is what limits the rate of a running flow, nil if nothing does or it is not known.
	Bottleneck *Bottleneck `json:"bottleneck,omitempty"`
	// Failures says how many items of one of its stages have failed, if more than one in twenty has.
	Failures  string `json:"failures,omitempty"`
	Partition int    `json:"partition"`

	about string // the stage, queue or item that Why is about
}

// Flows returns the flows of the snapshot, sorted by name. A queue without a stage is a flow too.
func (s Snapshot) Flows() []Flow { return s.FlowsAfter(nil) }

// FlowsAfter returns the flows of the snapshot like Flows, for a reader who has seen those of an earlier
// one: a bottleneck that was named stays until its share is clearly below the border, and another
// one's is clearly larger.
func (s Snapshot) FlowsAfter(known []Flow) []Flow {
	type key struct {
		name      string
		partition int
	}
	before := make(map[key]Flow, len(known))
	for _, f := range known {
		before[key{f.Name, f.Partition}] = f
	}
	flows, pools := s.group(), s.pools()
	found := make([]Flow, 0, len(flows))
	for _, f := range flows {
		first := f.queues[0]
		f.known = before[key{first.Name, first.Partition}]
		found = append(found, f.info(pools))
	}
	slices.SortFunc(found, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Partition, b.Partition))
	})
	return found
}

// A flow is the queues and stages of one connected part of a namespace, those behind others later.
type flow struct {
	at      time.Time // of the snapshot
	queues  []*Queue
	stages  []*Stage
	sources []*Source
	gathers []*Gather
	calls   []Call // of its stages
	redis   Load
	near    func(string) string // of a function, see NearestFunction
	known   Flow                // as an earlier look has found it, zero if there was none
}

// group divides queues and stages into flows.
func (s Snapshot) group() []*flow {
	type place struct {
		partition int
		queue     string
	}
	parent := map[place]place{}
	var root func(p place) place
	root = func(p place) place {
		if next, ok := parent[p]; ok && next != p {
			top := root(next)
			parent[p] = top
			return top
		}
		return p
	}
	for i := range s.Stages {
		stage := &s.Stages[i]
		if len(stage.In) == 0 {
			continue
		}
		all := slices.Concat(stage.In, stage.Out)
		for _, name := range all[1:] {
			if a, b := root(place{stage.Partition, all[0]}), root(place{stage.Partition, name}); a != b {
				parent[b] = a
			}
		}
	}
	flows, order := map[place]*flow{}, []*flow{}
	of := func(partition int, queue string) *flow {
		top := root(place{partition, queue})
		if flows[top] == nil {
			flows[top] = &flow{at: s.At, redis: s.Redis, near: s.NearestFunction}
			order = append(order, flows[top])
		}
		return flows[top]
	}
	for i := range s.Queues {
		f := of(s.Queues[i].Partition, s.Queues[i].Name)
		f.queues = append(f.queues, &s.Queues[i])
	}
	for i := range s.Stages {
		if len(s.Stages[i].In) > 0 { // a stage that no program of this module has made may have none
			f := of(s.Stages[i].Partition, s.Stages[i].In[0])
			f.stages = append(f.stages, &s.Stages[i])
		}
	}
	for i := range s.Sources {
		f := of(s.Sources[i].Partition, s.Sources[i].Queue)
		f.sources = append(f.sources, &s.Sources[i])
	}
	for i := range s.Gathers {
		f := of(s.Gathers[i].Partition, s.Gathers[i].Queue)
		f.gathers = append(f.gathers, &s.Gathers[i])
	}
	s.shareCalls(order)
	for _, f := range order {
		f.sort()
	}
	return slices.DeleteFunc(order, func(f *flow) bool { return len(f.queues) == 0 })
}

// shareCalls gives the flows the calls of their stages.
func (s Snapshot) shareCalls(flows []*flow) {
	of := map[string]*flow{}
	for _, f := range flows {
		for _, stage := range f.stages {
			of[stage.ID] = f
		}
	}
	for _, w := range s.Workers {
		for _, c := range w.Running {
			if f := of[c.Stage]; f != nil {
				f.calls = append(f.calls, c)
			}
		}
	}
}

// stage returns the stage with an id; the zero stage if there is none.
func (f *flow) stage(id string) Stage {
	for _, s := range f.stages {
		if s.ID == id {
			return *s
		}
	}
	return Stage{}
}

// sort orders the queues and stages by the longest way to them.
func (f *flow) sort() {
	level := map[string]int{}
	for range f.stages { // at most one more level each time
		changed := false
		for _, s := range f.stages {
			deepest := 0
			for _, in := range s.In {
				deepest = max(deepest, level[in])
			}
			for _, out := range s.Out {
				if level[out] <= deepest && deepest < len(f.stages) {
					level[out], changed = deepest+1, true
				}
			}
		}
		if !changed {
			break
		}
	}
	slices.SortStableFunc(f.queues, func(a, b *Queue) int {
		return cmp.Or(cmp.Compare(level[a.Name], level[b.Name]), cmp.Compare(a.Name, b.Name))
	})
	slices.SortStableFunc(f.stages, func(a, b *Stage) int { return cmp.Compare(level[a.In[0]], level[b.In[0]]) })
}

func (f *flow) info(p pools) Flow {
	first := f.queues[0]
	info := Flow{Name: first.Name, Chain: []string{}, Stages: []string{}, Partition: first.Partition, RateIn: f.rateIn()}
	for _, s := range f.stages {
		info.Stages = append(info.Stages, s.ID)
		info.Chain = append(info.Chain, s.name())
		info.Failed += s.RecentFailed
		if f.isLast(s) {
			info.RateOut += s.Rate
		}
	}
	for _, q := range f.queues {
		info.Queues = append(info.Queues, q.Name)
		info.Waiting += q.Unread()
		info.Running += q.Running
		info.Sources += q.Sources
		info.Oldest = earlier(info.Oldest, q.Oldest)
		info.OldestScattered = earlier(info.OldestScattered, q.OldestScattered)
	}
	found := f.examine(info, p)
	if info.State, info.Why, info.Remedy, info.about = found.state, found.why, found.remedy, found.about; info.State == "running" {
		info.Bottleneck, info.ETA = f.bottleneck(p), f.eta()
	}
	info.Failures = f.failures()
	return info
}

// earlier returns the earlier one of two times, of which each may be zero for none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ended tells whether no item will be added to the flow.
func (f *flow) ended() bool {
	return !slices.ContainsFunc(f.queues, func(q *Queue) bool { return q.State != Ended })
}

// isLast tells whether no stage reads the results of a stage.
func (f *flow) isLast(s *Stage) bool {
	return !slices.ContainsFunc(f.stages, func(next *Stage) bool {
		return slices.ContainsFunc(s.Out, func(out string) bool { return slices.Contains(next.In, out) })
	})
}

// rateIn returns the items a second that came into the flow, since its first stages began the last
// half minute.
func (f *flow) rateIn() (rate float64) {
	for _, s := range f.stages {
		if s.Recent.Length == 0 {
			continue
		}
		for _, q := range f.queues {
			if len(q.From) == 0 && slices.Contains(s.In, q.Name) {
				rate += max(0, float64(q.Added-s.Recent.Added)/s.Recent.Length.Seconds())
			}
		}
	}
	return rate
}

// eta returns the time that the stages need for all items, if they go on with as much work a second as
// in the last half minute; 0 if that is not known, since items may be added, or none were done. Work is
// the time of calls: a stage that gets its turn now and then has a rate that jumps, and the work of all
// stages together does not.
func (f *flow) eta() time.Duration {
	if f.isFed() && !f.ended() {
		return 0
	}
	work, done := 0.0, 0.0
	for _, s := range f.stages {
		items := f.before(s, map[*Stage]bool{})
		if items > 0 && s.Cost == 0 { // its function has no result yet
			return f.etaByRate()
		}
		work, done = work+float64(items)*float64(s.Cost), done+s.Rate*float64(s.Cost)
	}
	if work == 0 || done == 0 {
		return 0
	}
	return time.Duration(work / done * float64(time.Second))
}

// etaByRate returns the time that the last stages need for all items at their present rate.
func (f *flow) etaByRate() (eta time.Duration) {
	for _, s := range f.stages {
		if !f.isLast(s) {
			continue
		}
		switch items := f.before(s, map[*Stage]bool{}); {
		case items == 0:
		case s.Rate == 0:
			return 0
		default:
			eta = max(eta, time.Duration(float64(items)/s.Rate*float64(time.Second)))
		}
	}
	return eta
}

// before returns the items that a stage has still to finish: those in its in-queues, and in front of
// the stages that fill these.
func (f *flow) before(s *Stage, seen map[*Stage]bool) (items int64) {
	if seen[s] {
		return 0
	}
	seen[s] = true
	for _, q := range f.queues {
		if slices.Contains(s.In, q.Name) {
			items += f.unfinished(s, q)
		}
	}
	for _, other := range f.stages {
		if slices.ContainsFunc(other.Out, func(out string) bool { return slices.Contains(s.In, out) }) {
			items += f.before(other, seen)
		}
	}
	return items
}

// unfinished returns the items of an in-queue of a stage. If not all of its batches were read, it is the
// difference to the inputs of the queue behind the stage, to which each item goes.
func (f *flow) unfinished(s *Stage, q *Queue) int64 {
	items := q.Unread() + q.Running
	if !q.AtLeast || len(s.In) != 1 {
		return items
	}
	for _, out := range f.queues {
		if slices.Contains(s.Out, out.Name) {
			items = max(items, q.Inputs-out.Inputs)
		}
	}
	return items
}
