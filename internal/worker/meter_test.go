package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// counted returns the counts of a route since the last call.
func counted(r *route) broker.StageCounts {
	w, _ := r.work(time.Now())
	return w.Counts
}

func TestTimeOfAFullQueueIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &route{}
		pass := func(d time.Duration, full time.Duration) {
			t.Helper()
			<-time.After(d) // virtual time
			if got := counted(r).Full; got != full {
				t.Errorf("full for %v, want %v", got, full)
			}
		}
		r.endFull()
		pass(time.Second, 0)
		r.beginFull()
		pass(2*time.Second, 2*time.Second)
		r.beginFull() // it is still full
		pass(3*time.Second, 3*time.Second)
		<-time.After(time.Second)
		r.endFull()
		pass(4*time.Second, time.Second)
		r.beginFull()
		r.standing.Store(over)
		pass(time.Second, time.Second)
		pass(time.Second, 0)
	})
}

// The time of a call counts once, whether it was reported while the call ran or not.
func TestTimeOfACallIsCountedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &route{breaker: newBreaker()}
		s := &session{}
		h := &slot{session: s, now: runningCall{epoch: time.Now()}}
		s.slots.add(h)
		<-time.After(time.Minute)
		h.now.begin(r, batch.Batch{Source: "s", N: 3}, nil, 1)
		for range 3 {
			<-time.After(2 * time.Second)
			s.countRunning(time.Now())
			if got := counted(r); got.Busy != 2*time.Second || got.Spent != 0 || got.Items != 0 {
				t.Errorf("while the call runs: %+v", got)
			}
		}
		<-time.After(time.Second)
		done := step{route: r, Result: runner.Result{N: 3, Items: 3, Spent: 7 * time.Second, Again: []int{1}}}
		h.returned(t.Context(), &done)
		r.record(done, done.Spent, 5)
		want := broker.StageCounts{Items: 2, Retried: 1, Batches: 1, Bytes: 5, Spent: 7 * time.Second, Busy: time.Second}
		if got := counted(r); got != want {
			t.Errorf("after the call: %+v, want %+v", got, want)
		}
		s.countRunning(time.Now())
		if _, ok := r.work(time.Now()); ok {
			t.Error("a slot without a call has work to report")
		}
	})
}

// The time of a call that an operator has canceled is that of a hung item: it counts as busy, and neither
// as the cost of an item nor among the times, from which an unusually long call is told.
func TestCanceledCallHasNoCost(t *testing.T) {
	t.Parallel()
	r := &route{}
	usual := step{route: r, Result: runner.Result{N: 10, Items: 10, Spent: 10 * time.Millisecond}}
	r.record(usual, usual.Spent, 5)
	hung := step{route: r, Result: runner.Result{N: 1, Items: 1, Failed: 1, Spent: time.Hour}, canceled: true}
	r.record(hung, hung.Spent, 5)
	w, _ := r.work(time.Now())
	if c := w.Counts; c.Items != 11 || c.Failed != 1 || c.Spent != 10*time.Millisecond || c.Busy != time.Hour+10*time.Millisecond {
		t.Errorf("the counts are %+v", c)
	}
	if longest := w.Times.Quantile(1); longest > time.Second || r.cost() > time.Second {
		t.Errorf("an item takes at most %v, and %v on average", longest, r.cost())
	}
}

// Results that were not stored are lost in each stage that has made them.
func TestSupersededItemsAreLostInEachStage(t *testing.T) {
	t.Parallel()
	last := &route{Route: broker.Route{In: "between"}}
	first := &route{Route: broker.Route{In: "in"}}
	first.fused.Store(last)
	d := completion{route: first}
	d.replace.Outs = []broker.Output{{Batch: batch.Batch{N: 4}}, {Batch: batch.Batch{N: 6}}}
	d.replace.Bypassed = []broker.Bypassed{{Queue: broker.Queue{Name: "between"}, N: 4, Items: 4}}
	d.supersede()
	if a, b := counted(first).Lost, counted(last).Lost; a != 10 || b != 4 {
		t.Errorf("lost are %d and %d items, want 10 and 4", a, b)
	}
}

func BenchmarkRecord(b *testing.B) {
	r := &route{}
	s := step{route: r, Result: runner.Result{N: 100, Items: 100, Spent: time.Millisecond}}
	b.ReportAllocs()
	for b.Loop() {
		r.record(s, s.Spent, 1000)
	}
}

func BenchmarkLearn(b *testing.B) {
	r := &route{}
	b.ReportAllocs()
	for b.Loop() {
		r.learn(time.Millisecond, 100)
	}
}
