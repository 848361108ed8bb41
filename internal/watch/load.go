package watch

import (
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

const (
	loadSpan  = 30 * time.Second // over which the load of Redis is measured
	leastSpan = time.Second      // at least
)

// loads has the processor times of the servers at the looks of the last half minute, the oldest first.
type loads []cpuSample

type cpuSample struct {
	at    time.Time
	nodes []inspect.Node
}

// known reports whether the servers report their processor times.
func (l loads) known() bool {
	for _, s := range l {
		for _, n := range s.nodes {
			if n.MainCPU > 0 {
				return true
			}
		}
	}
	return false
}

// add adds a look. It returns the load of the busiest server since the first look that is kept, and no
// load if that was less than a second ago.
func (l *loads) add(at time.Time, nodes []inspect.Node) (most inspect.Load) {
	all := append(*l, cpuSample{at, nodes})
	for len(all) > 2 && at.Sub(all[1].at) >= loadSpan {
		all = all[1:]
	}
	*l = all
	for _, n := range nodes {
		busy, length := all.busy(n, at)
		if length >= leastSpan && (most.Length == 0 || busy > most.Busy) {
			most = inspect.Load{Busy: busy, Length: length}
			if len(nodes) > 1 {
				most.Address = n.Address
			}
		}
	}
	return most
}

// busy returns the part of the time that a server worked, and that time, since the first look at its
// present run.
func (l loads) busy(now inspect.Node, at time.Time) (part float64, length time.Duration) {
	for _, s := range l {
		for _, n := range s.nodes {
			if n.Run != now.Run || n.MainCPU <= 0 || now.MainCPU < n.MainCPU {
				continue
			}
			if length = at.Sub(s.at); length <= 0 {
				return 0, 0
			}
			return min(1, float64(now.MainCPU-n.MainCPU)/float64(length)), length
		}
	}
	return 0, 0
}
