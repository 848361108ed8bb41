package page

import (
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/doctor"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// The memory of a page.
const (
	trendStep   = 5 * time.Second  // between two points of a trend
	trendPoints = 60               // of a trend
	workSpan    = 30 * time.Second // over which the work of a worker is averaged
	streamSpan  = time.Minute      // of the recent calls of a worker
)

// A flowKey names a flow.
type flowKey struct {
	name      string
	partition int
}

// workerWork is the recent work of a worker.
type workerWork struct {
	Rate    float64 // items a second
	Failing float64 // part of its items that failed
	Busy    float64 // part of the time of its slots
}

// A recordedCall is a call of a worker, as the last state has seen it.
type recordedCall struct {
	inspect.Call
	Seen time.Time // when it still ran, by the clock of Redis
}

// A sample is the counters of a worker at one time.
type sample struct {
	at           time.Time
	done, failed int64
	busy         time.Duration
}

// past is what earlier views are needed for. Each map loses the entries of flows and workers that
// are not in the newest view.
type past struct {
	trends  map[flowKey][]float64
	stepped time.Time // of the last point of the trends
	workers map[string][]sample
	calls   map[string][]recordedCall
}

func newPast() past {
	return past{trends: map[flowKey][]float64{}, workers: map[string][]sample{}, calls: map[string][]recordedCall{}}
}

// derive returns the state of a view.
func (p *past) derive(view watch.View) *state {
	s := &state{View: view, flows: view.Flows(), findings: view.Findings()}
	s.urgent = doctor.Urgent(s.findings)
	s.trends = p.trend(s.flows, view.At)
	s.work = p.work(view.Snapshot)
	s.calls = p.record(view.Snapshot)
	return s
}

// trend adds a point to the trend of each flow.
func (p *past) trend(flows []inspect.Flow, at time.Time) map[flowKey][]float64 {
	if at.Sub(p.stepped) < trendStep {
		return p.trends
	}
	p.stepped = at
	next := make(map[flowKey][]float64, len(flows))
	for _, f := range flows {
		key := flowKey{f.Name, f.Partition}
		old := p.trends[key]
		points := append(make([]float64, 0, len(old)+1), old[max(0, len(old)+1-trendPoints):]...)
		next[key] = append(points, f.RateOut)
	}
	p.trends = next
	return next
}

// work returns the recent work of each worker.
func (p *past) work(s inspect.Snapshot) map[string]workerWork {
	samples, work := make(map[string][]sample, len(s.Workers)), make(map[string]workerWork, len(s.Workers))
	for _, w := range s.Workers {
		all := append(p.workers[w.ID], sample{s.At, w.Done, w.Failed, w.Busy})
		for len(all) > 2 && s.At.Sub(all[1].at) >= workSpan {
			all = all[1:]
		}
		samples[w.ID] = all
		work[w.ID] = between(all[0], all[len(all)-1], w.Concurrency)
	}
	p.workers = samples
	return work
}

// between returns the work of a worker between two samples.
func between(a, b sample, slots int) (w workerWork) {
	passed := b.at.Sub(a.at)
	if passed <= 0 || b.done < a.done {
		return w
	}
	w.Rate = float64(b.done-a.done) / passed.Seconds()
	if b.done > a.done {
		w.Failing = float64(b.failed-a.failed) / float64(b.done-a.done)
	}
	if slots > 0 {
		w.Busy = min(1, float64(b.busy-a.busy)/float64(passed)/float64(slots))
	}
	return w
}

// record returns the calls that each worker was seen to run within the last minute.
func (p *past) record(s inspect.Snapshot) map[string][]recordedCall {
	type identity struct {
		stage, source string
		offset        int64
		attempt       int
	}
	next := make(map[string][]recordedCall, len(s.Workers))
	for _, w := range s.Workers {
		running := map[identity]bool{}
		var calls []recordedCall
		for _, c := range w.Running {
			running[identity{c.Stage, c.Source, c.Offset, c.Attempt}] = true
		}
		for _, c := range p.calls[w.ID] {
			if !running[identity{c.Stage, c.Source, c.Offset, c.Attempt}] && s.At.Sub(c.Seen) < streamSpan {
				calls = append(calls, c)
			}
		}
		for _, c := range w.Running {
			calls = append(calls, recordedCall{c, s.At})
		}
		next[w.ID] = calls[max(0, len(calls)-maxCalls):]
	}
	p.calls = next
	return next
}

// maxCalls bounds the recorded calls of a worker.
const maxCalls = 256
