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
	// State is "stuck" if items wait and no worker can run their stage, "paused" if they wait and the
	// stage is paused, "running", "waiting" if no item runs now, "idle" if it has no items and may
	// get some, or "done".
	State   string `json:"state"`
	Why     string `json:"why"`     // why items do not move, "" if they do or the reason is not known
	Waiting int64  `json:"waiting"` // items in its queues that no consumer has read, wherever they are
	Running int64  `json:"running"` // items that a worker or a gather has read and not finished
	// Oldest is when the oldest of the waiting batches came into its queue, zero if none waits.
	Oldest    time.Time `json:"oldest,omitzero"`
	Sources   int64     `json:"sources"` // that are not delivered to their end
	Partition int       `json:"partition"`
}

// Flows returns the flows of the snapshot, sorted by name. A queue without a stage is a flow too.
func (s Snapshot) Flows() []Flow {
	flows := s.group()
	found := make([]Flow, 0, len(flows))
	for _, f := range flows {
		found = append(found, f.info())
	}
	slices.SortFunc(found, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Partition, b.Partition))
	})
	return found
}

// A flow is the queues and stages of one connected part of a namespace, those behind others later.
type flow struct {
	queues []*Queue
	stages []*Stage
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
			flows[top] = &flow{}
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
	for _, f := range order {
		f.sort()
	}
	return slices.DeleteFunc(order, func(f *flow) bool { return len(f.queues) == 0 })
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

func (f *flow) info() Flow {
	first := f.queues[0]
	info := Flow{Name: first.Name, Chain: []string{}, Stages: []string{}, Partition: first.Partition}
	for _, s := range f.stages {
		info.Stages = append(info.Stages, s.ID)
		info.Chain = append(info.Chain, cmp.Or(s.Function, s.Kind))
	}
	ended := true
	for _, q := range f.queues {
		info.Queues = append(info.Queues, q.Name)
		info.Waiting += q.Unread()
		info.Running += q.Running
		info.Sources += q.Sources
		if !q.Oldest.IsZero() && (info.Oldest.IsZero() || q.Oldest.Before(info.Oldest)) {
			info.Oldest = q.Oldest
		}
		ended = ended && q.State == Ended
	}
	info.State, info.Why = f.state(info, ended)
	return info
}

// state returns the state of a flow, and its reason.
func (f *flow) state(info Flow, ended bool) (state, why string) {
	left := map[string]int64{}
	for _, q := range f.queues {
		left[q.Name] = q.Unread()
	}
	for _, s := range f.stages {
		for _, in := range s.In {
			switch name := "stage " + s.ID + " (" + cmp.Or(s.Function, s.Kind) + ")"; {
			case left[in] == 0:
			case s.Paused:
				return "paused", name + s.Pause.text()
			case s.Workers == 0 && s.Others > 0:
				return "stuck", "the workers have the function of " + name + " with other types"
			case s.Workers == 0:
				return "stuck", "no worker has the function of " + name
			}
		}
	}
	switch {
	case info.Running > 0:
		return "running", ""
	case info.Waiting > 0:
		return "waiting", f.ungathered()
	case ended:
		return "done", ""
	}
	return "idle", ""
}

// ungathered tells whether results wait for a gather.
func (f *flow) ungathered() string {
	for _, q := range f.queues {
		if q.Unread() > 0 && (q.Consumer == "" || q.Gather != nil && q.Gather.State == Dead) {
			return "no program gathers queue " + q.Name
		}
	}
	return ""
}
