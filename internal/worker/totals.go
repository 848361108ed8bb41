package worker

import (
	"maps"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A total is the work of a session on a stage.
type total struct {
	counts broker.StageCounts
	times  broker.Histogram
	waits  broker.Histogram
}

// addTotal adds work that was taken from a route. The caller holds the mutex of the reporter.
func (p *reporter) addTotal(w broker.StageWork) {
	if p.totals == nil {
		p.totals = map[string]*total{}
	}
	t := p.totals[w.Stage.ID]
	if t == nil {
		t = &total{}
		p.totals[w.Stage.ID] = t
	}
	t.counts.Add(w.Counts)
	t.times.Merge(&w.Times)
	t.waits.Merge(&w.Waits)
}

// forgetTotals forgets the stages without a route. The caller holds the mutex of the reporter.
func (p *reporter) forgetTotals() {
	served := make(map[string]bool, len(p.routes))
	for _, r := range p.routes {
		served[r.stage.ID] = true
	}
	maps.DeleteFunc(p.totals, func(id string, _ *total) bool { return !served[id] })
}

// appendTotals appends the work on each stage that has a route, also work that is not reported yet.
// A stage that was replaced has its new route and, for a while, the old one.
func (p *reporter) appendTotals(all []broker.StageWork) []broker.StageWork {
	p.mu.Lock()
	defer p.mu.Unlock()
	index := make(map[string]int, len(p.routes))
	for _, r := range p.routes {
		i, known := index[r.stage.ID]
		if !known {
			i = len(all)
			index[r.stage.ID] = i
			w := broker.StageWork{Stage: r.stage}
			if t := p.totals[r.stage.ID]; t != nil {
				w.Counts, w.Times, w.Waits = t.counts, t.times.Clone(), t.waits.Clone()
			}
			all = append(all, w)
		}
		r.addUnreported(&all[i])
	}
	return all
}

// addUnreported adds the work since the last report.
func (r *route) addUnreported(w *broker.StageWork) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Counts.Add(r.meter.counts)
	w.Times.Merge(&r.meter.times)
	w.Waits.Merge(&r.meter.waits)
}

// Totals returns the work on each stage that this worker serves, since it has joined. Counts only
// grow while the worker serves the stage. They begin anew if the worker had no work of a stage for a minute
// and was then among hundreds of others. Totals sends no command, and leaves Errors empty.
func (w *Worker) Totals() (all []broker.StageWork) {
	for _, s := range w.partitions.sessions() {
		all = s.reporter.appendTotals(all)
	}
	return all
}
