package worker

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	// logPace is the time between two log lines about the work on a stage.
	logPace = time.Minute
	// drainPace is the time between two log lines about the calls that a stopping worker waits for.
	drainPace = 5 * time.Second
	// shownCalls is the number of calls in such a line at most.
	shownCalls = 10
)

// A workLog sums the work on each stage until it is logged. Work that was not reported yet is in the
// next line. One goroutine at a time uses it: that of the reports.
type workLog struct {
	since  time.Time
	stages map[string]*loggedWork // by id, emptied by each log
}

// loggedWork is the work on a stage since the last log.
type loggedWork struct {
	function     string
	done, failed int64
	firstError   string
}

// add adds the work of a report, unless the stage only waited.
func (l *workLog) add(w broker.StageWork) {
	c := w.Counts
	if c.Items == 0 && c.Busy == 0 && len(w.Errors) == 0 {
		return
	}
	if l.stages == nil {
		l.stages = map[string]*loggedWork{}
	}
	s := l.stages[w.Stage.ID]
	if s == nil {
		s = &loggedWork{function: w.Stage.Function}
		l.stages[w.Stage.ID] = s
	}
	s.done += c.Items
	s.failed += c.Failed
	if s.firstError == "" && len(w.Errors) > 0 {
		line, _, _ := strings.Cut(w.Errors[0].Message, "\n")
		s.firstError = shortened(line, comparedText)
	}
}

// logWork logs the work on each stage, and begins again, if the last time was at least pace ago. The
// rate is that of done items in a second.
func (s *session) logWork(ctx context.Context, now time.Time, pace time.Duration) {
	l := &s.reporter.log
	past := now.Sub(l.since)
	if past < pace {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(l.stages)) {
		w := l.stages[id]
		rate := 0.0
		if past > 0 {
			rate = math.Round(10*float64(w.done)/past.Seconds()) / 10
		}
		attrs := []any{"stage", id, "function", w.function, "done", w.done, "failed", w.failed, "rate", rate}
		if w.firstError != "" {
			attrs = append(attrs, "err", w.firstError)
		}
		s.log.InfoContext(ctx, "work", attrs...)
	}
	l.since = now
	clear(l.stages)
}

// awaitDrain waits until drained is closed, and returns true, or until the time for draining has
// passed. It logs the calls that run.
func (s *session) awaitDrain(ctx context.Context, drained <-chan struct{}) bool {
	timer, tick := time.NewTimer(s.worker.Drain), time.NewTicker(drainPace)
	defer timer.Stop()
	defer tick.Stop()
	s.logDraining(ctx)
	for {
		select {
		case <-timer.C:
			return false
		case <-drained:
			return true
		case <-tick.C:
			s.logDraining(ctx)
		}
	}
}

// logDraining logs the calls that run, those that run longest first.
func (s *session) logDraining(ctx context.Context) {
	items := s.running(time.Now())
	if len(items) == 0 {
		return
	}
	calls := make([]string, 0, shownCalls+1)
	for i, item := range items {
		if i == shownCalls {
			calls = append(calls, fmt.Sprintf("%d more", len(items)-i))
			break
		}
		age := (time.Duration(item.For) * time.Millisecond).Round(100 * time.Millisecond)
		calls = append(calls, fmt.Sprintf("%s source %s offset %d for %v", item.Function, item.Source, item.Offset, age))
	}
	s.log.InfoContext(ctx, "draining", "worker", s.id, "running", len(items), "calls", strings.Join(calls, "; "))
}
