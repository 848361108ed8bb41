package worker

import (
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// The totals have each item once, whether it was reported or not, and forget a stage that is gone.
func TestTotalsAreThoseOfTheStagesServed(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		const n = 1000
		p := newPlant(t, w, 0, "fast", "last")
		worker := p.work(t, defined("fast", double), defined("last", double))
		p.add(t, n)
		p.results(t, n)
		testkit.Eventually(t, func() bool {
			all := worker.Totals()
			return len(all) == 2 && all[0].Counts.Items == n && all[1].Counts.Items == n && all[0].Times.Count() == n
		}, "the totals have all items")
		p.reported(t, "q1", n)
		p.reported(t, "q2", n)
		for _, total := range worker.Totals() {
			if total.Counts.Items != n || total.Times.Count() != n || total.Counts.Spent <= 0 {
				t.Errorf("after the reports, stage %s has %+v", total.Stage.ID, total.Counts)
			}
		}
		if err := w.C.Delete(t.Context(), "q2"); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() bool {
			return !slices.ContainsFunc(worker.Totals(), func(w broker.StageWork) bool { return w.Stage.ID == "q2" })
		}, "the deleted stage has no totals")
		for _, s := range worker.partitions.sessions() {
			s.reporter.mu.Lock()
			if s.reporter.totals["q2"] != nil {
				t.Error("the reporter remembers the deleted stage")
			}
			s.reporter.mu.Unlock()
		}
	})
}

// A worker that may not report has totals all the same, and forgets the routes of ended stages.
func TestTotalsNeedNoReports(t *testing.T) {
	t.Parallel()
	ended, served := &route{stage: broker.Stage{ID: "ended"}}, &route{stage: broker.Stage{ID: "served"}}
	s := &session{worker: &Worker{}, lease: time.Second}
	s.reporter.muted = true
	s.reporter.add([]*route{ended, served})
	for range 2 { // the second report finds no work
		ended.passed(3, 1)
		served.passed(4, 1)
		s.reporter.last = time.Time{}
		s.report(t.Context())
	}
	ended.standing.Store(over)
	s.reporter.last = time.Time{}
	s.report(t.Context())
	all := s.reporter.appendTotals(nil)
	if len(all) != 1 || all[0].Stage.ID != "served" || all[0].Counts.Items != 8 || len(s.reporter.totals) != 1 {
		t.Errorf("the totals are %+v of %d stages", all, len(s.reporter.totals))
	}
}
