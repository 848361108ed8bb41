package executor

import (
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// activityReports are the reports on the cards of the executors of a partition.
type activityReports struct {
	feeds   map[reporter]broker.FeedReport   // by source
	gathers map[reporter]broker.GatherReport // by queue
}

// A reporter is a source or a gathered queue, and the executor that reports it.
type reporter struct{ executor, name string }

func reportsOf(survey broker.Survey) activityReports {
	all := activityReports{map[reporter]broker.FeedReport{}, map[reporter]broker.GatherReport{}}
	for _, m := range survey.Executors {
		for _, f := range m.Feeds() {
			all.feeds[reporter{m.ID, f.Source}] = f
		}
		for _, g := range m.Gathers() {
			all.gathers[reporter{m.ID, g.Queue}] = g
		}
	}
	return all
}

// gather describes the gather of a queue.
func (a activityReports) gather(q inspect.Queue) inspect.Gather {
	info := inspect.Gather{Queue: q.Name, By: *q.Gather, State: inspect.Unknown, Partition: q.Partition}
	r, reported := a.gathers[reporter{q.Gather.ID, q.Name}]
	if reported {
		times := r.Times.Histogram()
		info.Delivery = histogramOf(&times)
		info.Delivered, info.Held, info.HeldBytes, info.Reader, info.Since = r.Delivered, r.Held, r.Bytes, float64(r.Reader)/100, r.Since
	}
	if r.Wants != nil {
		info.Wants = &inspect.Wanted{Source: r.Wants.Source, Offset: r.Wants.Offset, Since: r.Wants.Since}
	}
	switch {
	case q.Gather.State == inspect.Dead:
		info.State = inspect.Dead
	case !reported:
	case r.For > 0:
		info.State = inspect.Reader
	case r.Wants != nil:
		info.State = inspect.Missing
	default:
		info.State = inspect.Open
	}
	return info
}

// describe adds to a source what its process reports. A source that has ended, was cut or is away
// has no report that counts, and neither has one whose process is not live.
func (a activityReports) describe(s *inspect.Source) {
	if s.By == nil || s.By.State != inspect.Live || s.State == inspect.Cut || s.State == inspect.Away {
		return
	}
	r, reported := a.feeds[reporter{s.By.ID, s.Name}]
	if !reported || r.Queue != s.Queue {
		return
	}
	s.Since, s.Waited, s.Caller = r.Since, float64(r.Waited)/100, float64(r.Caller)/100
	if s.State = string(r.State); r.State == broker.FeedRunning {
		s.State = inspect.Open
	}
}
