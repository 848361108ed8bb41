package scale

import (
	"cmp"
	"slices"
	"time"
)

const (
	// steady is the time in which each wish has to be lower before the number falls. Wishes vary by
	// chance, as arrivals do.
	steady = time.Minute
	// spanLength is the least length of a span of arrivals.
	spanLength = 10 * time.Second
	// loadSpans is the number of spans whose arrivals are the load.
	loadSpans = 4
)

// A memory is what a Decision leaves to the next one.
type memory struct {
	active time.Time        // when the pool last had an item
	came   map[string]int64 // items that had come to each stage, by its id
	spans  []span           // the last ones and those of the last minute, the newest last
	tries  []tries          // those of the last half minute, the newest last
}

// A tries has the attempts of all stages of a pool until a time.
type tries struct {
	at          time.Time
	all, failed int64 // also those that another one followed
}

// failing reports whether most of the last attempts have failed.
func (m memory) failing() bool {
	first, last := m.tries[0], m.tries[len(m.tries)-1]
	all := last.all - first.all
	return all >= fewTries && float64(last.failed-first.failed) > failing*float64(all)
}

// A span has the arrivals of a time.
type span struct {
	from, to time.Time
	work     float64 // slots times seconds that the arrived items take
	workers  int     // the largest wish in it
	lasting  int     // the largest wish without the items that wait
}

// next returns the memory for a Decision at a time, whose arrivals since the last one would take work.
func (m memory) next(last, at time.Time, came map[string]int64, work float64) memory {
	n := memory{active: m.active, came: came}
	n.spans = slices.Clone(m.spans)
	for len(n.spans) > loadSpans && at.Sub(n.spans[0].to) >= steady {
		n.spans = n.spans[1:]
	}
	switch k := len(n.spans) - 1; {
	case last.IsZero() || !at.After(last):
	case k >= 0 && n.spans[k].to.Sub(n.spans[k].from) < spanLength:
		n.spans[k].to, n.spans[k].work = at, n.spans[k].work+work
	default:
		n.spans = append(n.spans, span{from: last, to: at, work: work})
	}
	return n
}

// wish notes how many workers the items call for, and how many without those that wait.
func (m *memory) wish(workers, lasting int) {
	if k := len(m.spans) - 1; k >= 0 {
		m.spans[k].workers, m.spans[k].lasting = max(m.spans[k].workers, workers), max(m.spans[k].lasting, lasting)
	}
}

// load returns the slots that the arrivals of the last spans keep busy, without the span that has the
// most of them: a burst waits in the queue, and Drain counts it. ok is false if too few spans are known.
func (m memory) load() (slots float64, ok bool) {
	if len(m.spans) < loadSpans {
		return 0, false
	}
	spans := slices.SortedFunc(slices.Values(m.spans[len(m.spans)-loadSpans:]), func(a, b span) int { return cmp.Compare(a.slots(), b.slots()) })
	work, seconds := 0.0, 0.0
	for _, s := range spans[:loadSpans-1] {
		work, seconds = work+s.work, seconds+s.seconds()
	}
	return work / seconds, true
}

func (s span) seconds() float64 { return s.to.Sub(s.from).Seconds() }

func (s span) slots() float64 { return s.work / s.seconds() }

// largest returns the largest wishes of the last minute.
func (m memory) largest(at time.Time) (workers, lasting int) {
	for _, s := range m.spans {
		if at.Sub(s.to) < steady {
			workers, lasting = max(workers, s.workers), max(lasting, s.lasting)
		}
	}
	return workers, lasting
}
