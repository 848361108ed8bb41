package inspect

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	stillFor = 30 * time.Second // without a result, from which on a flow with items stands still
	hungCall = time.Minute      // that a call may take in any stage before it counts as hung
	slowCall = 5                // times the time of 99 of 100 items in which a result should come
	unusual  = 20               // times that time, from which on a call counts as hung
)

// Hung tells whether a call has run for so long that it may never return: more than a minute, and
// more than twenty times as long as 99 of 100 items of its stage took.
func (s Stage) Hung(ran time.Duration) bool { return ran > max(hungCall, unusual*s.P99) }

// A finding is the state of a flow or of a part of it, the reason, and what to do.
type finding struct{ state, why, remedy string }

// examine returns the state of a flow.
func (f *flow) examine(info Flow, p pools) finding {
	for _, s := range f.stages {
		if left, _ := f.left(s); left > 0 {
			if found := s.unserved(); found.state != "" {
				return found
			}
		}
	}
	if f.stands(info) {
		if found := f.stuck(p); found.state != "" {
			return found
		}
	}
	switch {
	case info.Running > 0 || f.hasWorked() && (f.hasWork() || f.isFed()):
		return finding{state: "running"}
	case info.Waiting > 0:
		return f.waiting()
	case f.ended():
		return finding{state: "done"}
	}
	return finding{state: "idle"}
}

// hasWork tells whether items wait in front of a stage.
func (f *flow) hasWork() bool {
	return slices.ContainsFunc(f.stages, func(s *Stage) bool {
		left, _ := f.left(s)
		return left > 0
	})
}

// isFed tells whether a program scatters into the flow.
func (f *flow) isFed() bool {
	return slices.ContainsFunc(f.sources, func(s *Source) bool {
		return s.State != Ended && s.State != Cut && s.State != Away
	})
}

// hasWorked tells whether a stage of the flow has finished an item in the last half minute.
func (f *flow) hasWorked() bool {
	return slices.ContainsFunc(f.stages, func(s *Stage) bool { return s.Recent.Done > 0 })
}

// unserved returns the state of a stage, in front of which items wait, if no worker may run it.
func (s *Stage) unserved() finding {
	name := fmt.Sprintf("stage %s (%s)", s.ID, s.name())
	switch {
	case s.Pause != nil:
		return finding{"paused", name + s.Pause.text(), "dqbridge resume " + s.ID}
	case s.Paused:
		return finding{"paused", name + " is paused since its process is dead", "gather the flow, or delete its queues"}
	case s.Workers == 0 && s.Untagged > 0:
		return finding{"stuck", "no worker with the function of " + name + " has the tags " + strings.Join(s.Tags, ","), "start a worker with these tags"}
	case s.Workers == 0 && s.Others > 0:
		return finding{"stuck", "the workers have the function of " + name + " with other types",
			"give the workers the types of the stage, or make the stage again with --replace"}
	case s.Workers == 0:
		return finding{"stuck", "no worker has the function of " + name, "start a worker with the function"}
	}
	return finding{}
}

// stands tells whether no stage of the flow has finished an item for a while, though some have items.
func (f *flow) stands(info Flow) bool {
	if len(f.stages) == 0 || info.Waiting+info.Running == 0 || f.hasWorked() {
		return false
	}
	still, since := stillFor, info.Oldest
	for _, s := range f.stages {
		still = max(still, slowCall*s.P99)
	}
	for _, g := range f.gathers {
		if g.State == Reader && f.at.Sub(g.Since) < still {
			return false // its program takes results
		}
	}
	for _, c := range f.calls {
		if since.IsZero() || c.Since.Before(since) {
			since = c.Since
		}
	}
	return !since.IsZero() && f.at.Sub(since) > still
}

// stuck returns the first reason that is found why a flow stands still, and no state if none is.
func (f *flow) stuck(p pools) finding {
	for _, s := range slices.Backward(f.stages) {
		if left, _ := f.left(s); left == 0 {
			continue
		}
		if found := p.hungCalls(s); found.state != "" {
			return found
		}
		if found := f.fullBehind(s); found.state != "" {
			return found
		}
		if other, busy := p.others(s, f); p.use(s) >= fullyUsed && busy > mostly*p.load(s) {
			return finding{"stuck", fmt.Sprintf("the slots that can run stage %s (%s) run stage %s (%s)", s.ID, s.name(), other.ID, other.name()),
				"start more workers, or pause stage " + other.ID}
		}
	}
	for _, c := range f.calls {
		if ran := f.at.Sub(c.Since); f.stage(c.Stage).Hung(ran) {
			return finding{"stuck", fmt.Sprintf("a call of %s has run for %s: source %s, offset %d", c.Function, ran.Round(time.Second), c.Source, c.Offset),
				c.cancel()}
		}
	}
	return f.resting()
}

// cancel returns the command that ends a call.
func (c Call) cancel() string { return fmt.Sprintf("dqbridge cancel %s %d", c.Source, c.Offset) }

// resting returns why items wait that no worker may take now.
func (f *flow) resting() finding {
	var unread, delayed, suspects int64
	for _, q := range f.queues {
		unread, delayed, suspects = unread+q.Unread(), delayed+q.Delayed, suspects+q.Suspects
	}
	switch {
	case suspects > 0:
		return finding{"stuck", fmt.Sprintf("two workers have died with each of %d items, which run alone now", suspects), "look at the logs of the workers that died"}
	case unread > 0 && delayed == unread:
		return finding{"stuck", fmt.Sprintf("all %d items that wait have failed and wait for another attempt", delayed), "dqbridge errors"}
	}
	return finding{}
}

// fullBehind tells that a stage has no room for its results.
func (f *flow) fullBehind(s *Stage) finding {
	for _, q := range f.queues {
		switch {
		case !q.Full || !slices.Contains(s.Out, q.Name):
		case q.isUngathered():
			return finding{"stuck", fmt.Sprintf("queue %s is full, and no program gathers it", q.Name), "gather it, or delete it"}
		default:
			return finding{"stuck", fmt.Sprintf("queue %s is full, and the program that gathers it takes no results", q.Name), "look at what that program does"}
		}
	}
	return finding{}
}

// waiting is the state of a flow in which no item runs now, and may be that of one that no program
// gathers.
func (f *flow) waiting() finding {
	for _, q := range f.queues {
		if q.Unread() > 0 && q.isUngathered() {
			return finding{"waiting", "no program gathers queue " + q.Name, "gather it, or delete it"}
		}
	}
	return finding{state: "waiting"}
}

// isUngathered tells whether no program reads the queue.
func (q *Queue) isUngathered() bool {
	return q.Consumer == "" || q.Gather != nil && q.Gather.State == Dead
}

// hungCalls tells that all slots that can run a stage run calls that may never return.
func (p pools) hungCalls(s *Stage) finding {
	var hung []Call
	for _, pool := range p[s.Function] {
		hung = append(hung, pool.hung...)
	}
	if len(hung) == 0 || len(hung) < p.slots(s) {
		return finding{}
	}
	c := hung[0]
	return finding{"stuck", fmt.Sprintf("all %d slots that can run stage %s (%s) run one item for more than %v: stage %s (%s), source %s, offset %d",
		len(hung), s.ID, s.name(), hungCall, c.Stage, c.Function, c.Source, c.Offset), c.cancel()}
}
