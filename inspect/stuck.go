package inspect

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	stillFor  = 30 * time.Second // without a result, from which on a flow with items stands still
	tolerated = 20               // items among which one may fail
	hungCall  = time.Minute      // that a call may take in any stage before it counts as hung
	slowCall  = 5                // times the time of 99 of 100 items in which a result should come
	unusual   = 20               // times that time, from which on a call counts as hung
)

// Hung tells whether a call has run for so long that it may never return: more than a minute, and
// more than twenty times as long as 99 of 100 items of its stage took.
func (s Stage) Hung(ran time.Duration) bool { return ran > max(hungCall, unusual*s.P99) }

// A finding is the state of a flow or of a part of it, the reason, what to do, and the stage, queue or
// item that the reason is about.
type finding struct{ state, why, remedy, about string }

// examine returns the state of a flow.
func (f *flow) examine(info Flow, p pools) finding {
	for _, s := range f.stages {
		if left, _ := f.left(s); left > 0 {
			if found := f.unserved(s); found.state != "" {
				return found
			}
		}
	}
	if f.stands(info) {
		if found := f.stuck(p); found.state != "" {
			return found
		}
	}
	switch g := f.standing(); {
	case info.Running > 0 || f.hasWorked() && (f.hasWork() || f.isFed()):
		return f.held("running", g)
	case info.Waiting > 0 && g != nil:
		return f.held("waiting", g)
	case info.Waiting > 0:
		return f.waiting()
	case f.ended():
		return finding{state: "done"}
	}
	return f.away()
}

// held is a state of a flow with a gather whose program takes no results, nil if there is none.
func (f *flow) held(state string, g *Gather) finding {
	if g == nil {
		return finding{state: state}
	}
	return finding{state, f.untakenResults(g), lookAtReader, g.Queue}
}

// hasWork tells whether items wait in front of a stage.
func (f *flow) hasWork() bool {
	return slices.ContainsFunc(f.stages, func(s *Stage) bool {
		left, _ := f.left(s)
		return left > 0
	})
}

// isFed tells whether a program scatters into the flow.
func (f *flow) isFed() bool { return slices.ContainsFunc(f.sources, (*Source).isFed) }

// isFed tells whether a program adds to the source.
func (s *Source) isFed() bool { return s.State != Ended && s.State != Cut && s.State != Away }

// hasWorked tells whether a stage of the flow has finished an item in the last half minute.
func (f *flow) hasWorked() bool {
	return slices.ContainsFunc(f.stages, func(s *Stage) bool { return s.Recent.Done > 0 })
}

// unserved returns the state of a stage, in front of which items wait, if no worker may run it.
func (f *flow) unserved(s *Stage) finding {
	name := fmt.Sprintf("stage %s (%s)", s.ID, s.name())
	switch {
	case s.Pause != nil:
		return finding{"paused", name + s.Pause.text(), "dqbridge resume " + s.ID, s.ID}
	case s.Paused:
		return finding{"paused", name + " is paused since its process is dead", "gather the flow, or delete its queues", s.ID}
	case s.Workers == 0 && s.Untagged > 0:
		return finding{"stuck", "no worker with the function of " + name + " has the tags " + strings.Join(s.Tags, ","), "start a worker with these tags", s.ID}
	case s.Workers == 0 && s.Others > 0:
		return finding{"stuck", "the workers have the function of " + name + " with other types",
			"give the workers the types of the stage, or make the stage again with --replace", s.ID}
	case s.Workers == 0:
		why, remedy := "no worker has the function of "+name, "start a worker with the function"
		if other := f.near(s.Function); other != "" {
			why += "; workers have " + other
			if command := s.ReplaceCommand(other); command != "" {
				remedy = command + ", or " + remedy
			}
		}
		return finding{"stuck", why, remedy, s.ID}
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
				"start more workers, or pause stage " + other.ID, s.ID}
		}
	}
	for _, c := range f.calls {
		if ran := f.at.Sub(c.Since); f.stage(c.Stage).Hung(ran) {
			return finding{"stuck", fmt.Sprintf("a call of %s has run for %s: source %s, offset %d", c.Function, ran.Round(time.Second), c.Source, c.Offset),
				f.stage(c.Stage).CancelRemedy(c), c.Stage}
		}
	}
	if g := f.standing(); g != nil {
		return f.held("stuck", g)
	}
	return f.resting()
}

// resting returns why items wait that no worker may take now.
func (f *flow) resting() finding {
	var unread, delayed, suspects int64
	for _, q := range f.queues {
		unread, delayed, suspects = unread+q.Unread(), delayed+q.Delayed, suspects+q.Suspects
	}
	switch {
	case suspects > 0:
		return finding{"stuck", fmt.Sprintf("two workers have died with each of %d items, which run alone now", suspects), "look at the logs of the workers that died", ""}
	case unread > 0 && delayed == unread:
		return finding{"stuck", fmt.Sprintf("all %d items that wait have failed and wait for another attempt", delayed), "dqbridge errors", ""}
	}
	return f.heldBack()
}

// fullBehind tells that a stage has no room for its results, unless another stage reads them: that one
// has a reason of its own.
func (f *flow) fullBehind(s *Stage) finding {
	for _, q := range f.queues {
		switch {
		case !q.Full || !slices.Contains(s.Out, q.Name) || f.isInput(q):
		case q.isUngathered():
			return finding{"stuck", fmt.Sprintf("queue %s is full, and no program gathers it", q.Name), "gather it, or delete it", q.Name}
		default:
			return finding{"stuck", fmt.Sprintf("queue %s is full, and the program that gathers it takes no results", q.Name), lookAtReader, q.Name}
		}
	}
	return finding{}
}

// isInput tells whether a stage reads a queue.
func (f *flow) isInput(q *Queue) bool {
	return slices.ContainsFunc(f.stages, func(s *Stage) bool { return slices.Contains(s.In, q.Name) })
}

// waiting is the state of a flow in which no item runs now, and may be that of one that no program
// gathers.
func (f *flow) waiting() finding {
	for _, q := range f.queues {
		if q.Unread() > 0 && q.isUngathered() {
			return finding{"waiting", "no program gathers queue " + q.Name, "gather it, or delete it", q.Name}
		}
	}
	return finding{state: "waiting"}
}

// failures says how many items of a stage have failed, for the stage where most have; "" if fewer than
// one in twenty have in each stage.
func (f *flow) failures() string {
	var most *Stage
	for _, s := range f.stages {
		if _, often := s.FailsOften(); often && (most == nil || s.Failed > most.Failed) {
			most = s
		}
	}
	if most == nil {
		return ""
	}
	return fmt.Sprintf("%d of %d items of %s have failed: dqbridge errors", most.Failed, most.Done, most.name())
}

// FailsOften tells whether more than one in twenty of the items of the stage have failed: lately, in the
// last five minutes, and ever.
func (s Stage) FailsOften() (lately, ever bool) {
	return s.RecentFailed*tolerated > s.RecentDone, s.Failed*tolerated > s.Done
}

// isUngathered tells whether no program reads the queue.
func (q *Queue) isUngathered() bool {
	return q.Consumer == "" || q.Gather != nil && q.Gather.State == Dead
}

// hungCalls tells that all slots that can run a stage run calls that may never return.
func (p pools) hungCalls(s *Stage) finding {
	var hung []hanging
	for _, pool := range p[s.Function] {
		hung = append(hung, pool.hung...)
	}
	if len(hung) == 0 || len(hung) < p.slots(s) {
		return finding{}
	}
	slices.SortFunc(hung, func(a, b hanging) int { return a.Since.Compare(b.Since) })
	c := hung[0]
	var calls []Call
	for _, h := range hung {
		if h.stage == c.stage {
			calls = append(calls, h.Call)
		}
	}
	who, which := fmt.Sprintf("all %d slots that can run stage %s (%s) run one item each", len(hung), s.ID, s.name()), "; the longest is"
	if len(hung) == 1 {
		who, which = fmt.Sprintf("the only slot that can run stage %s (%s) runs one item", s.ID, s.name()), ":"
	}
	return finding{"stuck", fmt.Sprintf("%s for more than %v%s stage %s (%s), source %s, offset %d",
		who, hungCall, which, c.Stage, c.Function, c.Source, c.Offset), c.stage.CancelRemedy(calls...), s.ID}
}
