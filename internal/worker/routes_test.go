package worker

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// bounded returns a route with at most so many batches in stock.
func bounded(most int64) *route {
	r := &route{}
	r.maxStock.Store(most)
	return r
}

func TestOneDearBatchIsChance(t *testing.T) {
	t.Parallel()
	r := bounded(maxAhead)
	for range 40 {
		r.learn(time.Microsecond, 1)
	}
	r.learn(3*time.Millisecond, 1) // it waited for a processor
	r.learn(time.Microsecond, 1)
	r.learn(time.Second, 1) // even if it waited for long
	r.learn(time.Microsecond, 1)
	if got := r.cost(); got != time.Microsecond {
		t.Errorf("the cost is %v after two that were chance", got)
	}
	r.learn(time.Second, 1)
	r.learn(time.Second, 1)
	if got := r.cost(); got != time.Second {
		t.Errorf("the cost is %v after two in a row", got)
	}
}

func TestStockIsLittleWorkAndLittleMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		most  int64
		spent time.Duration
		items int
		size  int
		slots int
		want  int64
	}{
		{"tiny", maxAhead, time.Microsecond, 1, 10, 1, maxAhead},
		{"a millisecond", maxAhead, time.Millisecond, 100, 1000, 1, 2},
		{"dear", maxAhead, 3 * time.Millisecond, 1, 10, 1, 0},
		{"large", maxAhead, time.Microsecond, 1, 600 << 10, 1, 1},
		{"very large", maxAhead, time.Microsecond, 1, 8 << 20, 1, 0},
		{"before a bound", 1, time.Microsecond, 1, 10, 1, 1},
		{"dear before a bound", 1, time.Second, 1, 10, 1, 0},
		{"tiny, for many slots", maxAhead, time.Microsecond, 1, 10, 8, 8 * maxAhead},
		{"a few milliseconds, for many slots", maxAhead, 8 * time.Millisecond, 1, 10, 8, 2},
		{"a second, for many slots", maxAhead, time.Second, 1, 10, 8, 0},
		{"very large, for many slots", maxAhead, time.Microsecond, 1, 8 << 20, 8, 0},
	} {
		r := bounded(c.most)
		r.learn(c.spent, c.items)
		r.stock(c.spent, c.items, c.size, c.slots)
		if got := r.ahead.Load(); got != c.want {
			t.Errorf("%s: %d batches in stock, not %d", c.name, got, c.want)
		}
	}
	backlog := bounded(maxAhead)
	backlog.backlog.Store(true)
	backlog.stock(20*time.Millisecond, 1, 2000, 100)
	if got := backlog.ahead.Load(); got != 250 {
		t.Errorf("%d batches of 20 ms in stock for 100 slots with a backlog, not 250", got)
	}
	r := bounded(maxAhead)
	r.learn(time.Second, 10)
	r.stock(time.Microsecond, 1, 10, 8)
	if got := r.ahead.Load(); got != 0 {
		t.Errorf("%d in stock after one that was cheap by chance", got)
	}
}

// A slot goes on with the next stage, unless the user has set a bound there, the fetcher has found
// a queue full, or another queue has the name.
// The stock is for entries as long as the whole of the last one, also if a slot has left that one after a time
// slice: they would wait for long.
func TestStockCountsWholeEntries(t *testing.T) {
	t.Parallel()
	w := &Worker{}
	w.concurrency.Store(8)
	h := &slot{session: &session{worker: w}}
	r := bounded(maxAhead)
	r.breaker = newBreaker()
	r.backlog.Store(true)
	h.learn(job{route: r, entry: broker.Entry{Batch: batch.Batch{N: 1000}}},
		[]step{{route: r, Result: runner.Result{N: 10, Items: 10, Spent: 10 * time.Millisecond}}})
	if got := r.ahead.Load(); got != 0 {
		t.Errorf("%d entries of a second in stock for 8 slots, not 0", got)
	}
}

func TestASlotGoesOnWhereNoBoundIsNear(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(first, second *route, d *completion)
		goesOn bool
	}{
		"as it is":              {func(_, _ *route, _ *completion) {}, true},
		"a bound of its queues": {func(_, second *route, _ *completion) { second.bounded.Store(true) }, false},
		"a bound of what it makes": {func(_, second *route, _ *completion) {
			second.stage.Outs[0].Max = 5
		}, false},
		"another queue of the name": {func(first, _ *route, _ *completion) { first.stage.Outs[0].Inc = "2" }, false},
		"found full":                {func(_, second *route, _ *completion) { second.blocked.Store(true) }, false},
		"left off before":           {func(_, _ *route, d *completion) { d.replace.Outs[0].Queue.Name = "between" }, false},
		"nothing came out":          {func(_, _ *route, d *completion) { d.replace.Outs = nil }, false},
	} {
		between, behind := broker.Queue{Name: "b", Inc: "1"}, broker.Queue{Name: "c", Inc: "1"}
		of := func(in, out broker.Queue) *route {
			return &route{Route: broker.Route{In: in.Name}, stage: broker.Stage{
				Kind: broker.KindMap, NoFuse: true, Ins: []broker.Queue{in}, Outs: []broker.Out{{Queue: out}},
			}}
		}
		first, second := of(broker.Queue{Name: "a", Inc: "1"}, between), of(between, behind)
		d := &completion{route: first, replace: broker.Completion{Outs: []broker.Output{{Queue: between}}}}
		c.change(first, second, d)
		fuse([]*route{second, first})
		if after := d.continuation(); (after == second) != c.goesOn || (after == nil) == c.goesOn {
			t.Errorf("%s: it goes on with %v", name, after)
		}
	}
}

// A worker drops the record of a logged stage of other types once the stage is gone.
func TestStagesOfOtherTypesAreForgotten(t *testing.T) {
	t.Parallel()
	l := &fetcher{foreign: map[string]bool{"there": true, "gone": true, "not asked": true}}
	l.forgetForeign([]string{"there", "gone"}, []broker.Stage{{ID: "there"}})
	if l.foreign["gone"] || len(l.foreign) != 2 {
		t.Errorf("after a look at two stages: %v", l.foreign)
	}
	l.forgetForeign(nil, []broker.Stage{{ID: "there"}, {ID: "other"}})
	if !l.foreign["there"] || len(l.foreign) != 1 {
		t.Errorf("after a look at all stages: %v", l.foreign)
	}
}
