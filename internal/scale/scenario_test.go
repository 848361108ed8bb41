package scale_test

import (
	"math"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/scale"
)

// target is that of all scenarios, and mean the time of their items in the mean.
const (
	target = time.Minute
	mean   = 500 * time.Millisecond
)

// always returns a rate of arrivals that does not change.
func always(rate float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return rate }
}

// between returns a condition that holds for a time.
func between(from, to time.Duration) func(time.Duration) bool {
	return func(t time.Duration) bool { return t >= from && t < to }
}

func fleet(rate func(time.Duration) float64) *model {
	return &model{cost: mean, rate: rate, pace: 15 * time.Second, options: scale.Options{Slots: 2, Target: target}}
}

// missed returns the part of the items that took longer than the target, without those that came in
// a time in which no fleet can meet it.
func (m *model) missed(except func(time.Duration) bool) float64 {
	all, late := 0, 0
	for _, s := range m.latency {
		if except(s.came) {
			continue
		}
		all++
		if s.took > target {
			late++
		}
	}
	return float64(late) / float64(max(1, all))
}

// excess returns the paid time in terms of the least possible one: the work on slots that are always
// busy, and one worker while there is less work than that, until the pool is idle.
// The workers of an outage have to be paid too: held is their time.
func (m *model) excess(held time.Duration) float64 {
	work := map[int]float64{}
	for _, s := range m.latency {
		work[int((s.came+s.took)/time.Minute)] += mean.Minutes() / float64(m.options.Slots)
	}
	least, last := 0.0, -60
	for minute := range int(m.now / time.Minute) {
		if work[minute] > 0 {
			last = minute
		}
		if minute-last <= int(scale.DefaultIdle/time.Minute) {
			least += max(1, work[minute])
		}
	}
	return m.paid.Minutes() / (least + held.Minutes())
}

// span returns the least and the largest number of workers that were wanted in a time.
func (m *model) span(from, to time.Duration) (least, most int) {
	least = math.MaxInt
	for _, n := range m.numbers {
		if n.at >= from && n.at < to {
			least, most = min(least, n.workers), max(most, n.workers)
		}
	}
	return least, most
}

func (m *model) check(t *testing.T, held time.Duration, except func(time.Duration) bool) {
	t.Helper()
	missed, excess := m.missed(except), m.excess(held)
	t.Logf("%.2f%% of %d items missed the target; %.2f of the least time of workers; %d starts", 100*missed, len(m.latency), excess, m.starts)
	if missed > 0.05 {
		t.Errorf("%.1f%% of the items missed the target", 100*missed)
	}
	if excess > 1.3 {
		t.Errorf("the workers cost %.2f times the least time", excess)
	}
}

// paces are those of a watched pool, of most autoscalers, and of a slow one.
var paces = []time.Duration{2 * time.Second, 15 * time.Second, 30 * time.Second}

func TestStepOfLoad(t *testing.T) {
	t.Parallel()
	for _, pace := range paces {
		m := fleet(func(at time.Duration) float64 {
			if at > 10*time.Minute && at < 30*time.Minute {
				return 100
			}
			return 10
		})
		m.pace = pace
		m.run(40 * time.Minute)
		m.check(t, 0, between(0, 0))
		if least, most := m.span(15*time.Minute, 30*time.Minute); least < 25 || most > 35 {
			t.Errorf("25 workers are enough, and %d to %d were wanted", least, most)
		}
		if _, most := m.span(35*time.Minute, 40*time.Minute); most > 5 {
			t.Errorf("after the step, %d workers were wanted", most)
		}
	}
}

func TestBurst(t *testing.T) {
	t.Parallel()
	for _, pace := range paces {
		m := fleet(always(40))
		m.pace = pace
		m.after(10*time.Minute, func() { m.add(3000) })
		m.run(30 * time.Minute)
		m.check(t, 0, between(0, 0))
	}
}

// Items that their source drops do not come into the queue, so a full queue keeps the number.
func TestDroppedItems(t *testing.T) {
	t.Parallel()
	m := fleet(always(40))
	m.most, m.options.Max = 200, 5
	m.run(20 * time.Minute)
	if least, most := m.span(5*time.Minute, 20*time.Minute); least != 5 || most != 5 {
		t.Errorf("five workers are too few, and %d to %d are wanted", least, most)
	}
	if m.decision.LimitedBy != scale.ByMax {
		t.Errorf("the number is limited by %q", m.decision.LimitedBy)
	}
	m = fleet(always(400))
	m.most = 200
	m.run(20 * time.Minute)
	m.check(t, 0, between(0, 0))
}

// After the last item a worker stays for Idle, and the first item wakes one.
func TestIdlePool(t *testing.T) {
	t.Parallel()
	m := fleet(func(at time.Duration) float64 {
		if at < 10*time.Minute {
			return 10
		}
		return 0
	})
	m.after(30*time.Minute+time.Second, func() { m.add(1) })
	m.run(40 * time.Minute)
	m.check(t, 0, between(0, time.Minute))
	if _, most := m.span(16*time.Minute, 30*time.Minute); most != 0 {
		t.Errorf("%d workers are wanted for no item", most)
	}
	if least, _ := m.span(12*time.Minute, 14*time.Minute); least != 1 {
		t.Errorf("soon after the last item, %d workers are wanted", least)
	}
	if _, most := m.span(30*time.Minute, 31*time.Minute); most != 1 {
		t.Errorf("%d workers are wanted for one item", most)
	}
}

func TestDeletedBacklog(t *testing.T) {
	t.Parallel()
	m := fleet(always(10))
	m.after(10*time.Minute, func() { m.add(20_000) })
	m.after(11*time.Minute, func() { m.waiting = nil })
	m.run(20 * time.Minute)
	if _, most := m.span(10*time.Minute, 11*time.Minute); most < 100 {
		t.Errorf("%d workers are wanted for 20,000 items", most)
	}
	if _, most := m.span(13*time.Minute, 20*time.Minute); most > 5 {
		t.Errorf("%d workers are wanted after the backlog was deleted", most)
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	m := fleet(always(40))
	m.outage = between(10*time.Minute, 15*time.Minute)
	m.run(45 * time.Minute)
	before, _ := m.span(10*time.Minute-m.pace, 10*time.Minute)
	if least, most := m.span(10*time.Minute+m.pace, 15*time.Minute); least != before || most != before {
		t.Errorf("during the outage the number moved from %d to between %d and %d", before, least, most)
	}
	m.check(t, time.Duration(before)*5*time.Minute, between(9*time.Minute, 18*time.Minute))
}

// While all items fail, further workers would fail more of them.
func TestFailingItems(t *testing.T) {
	t.Parallel()
	m := fleet(always(20))
	m.failing = between(10*time.Minute, 20*time.Minute)
	m.after(12*time.Minute, func() { m.add(3000) })
	m.run(30 * time.Minute)
	if least, most := m.span(11*time.Minute, 20*time.Minute); least != most {
		t.Errorf("while all items fail, the number moves between %d and %d", least, most)
	}
}

// Behind a slow reader, further workers would wait for room.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	m := fleet(always(40))
	m.taken, m.room = 8, 100
	m.run(30 * time.Minute)
	if least, most := m.span(5*time.Minute, 30*time.Minute); least < 2 || most > 4 {
		t.Errorf("two workers fill the reader, and %d to %d are wanted", least, most)
	}
	if m.decision.LimitedBy != scale.ByReader {
		t.Errorf("the number is limited by %q", m.decision.LimitedBy)
	}
}
