package workers

import (
	"testing"
	"time"
)

// bounded is a route with so many batches in stock at most.
func bounded(most int64) *route {
	r := &route{}
	r.most.Store(most)
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
		hands int
		want  int64
	}{
		{"tiny", maxAhead, time.Microsecond, 1, 10, 1, maxAhead},
		{"a millisecond", maxAhead, time.Millisecond, 100, 1000, 1, 2},
		{"dear", maxAhead, 3 * time.Millisecond, 1, 10, 1, 0},
		{"large", maxAhead, time.Microsecond, 1, 600 << 10, 1, 1},
		{"very large", maxAhead, time.Microsecond, 1, 8 << 20, 1, 0},
		{"before a bound", 1, time.Microsecond, 1, 10, 1, 1},
		{"dear before a bound", 1, time.Second, 1, 10, 1, 0},
		{"tiny, for many hands", maxAhead, time.Microsecond, 1, 10, 8, 8 * maxAhead},
		{"a few milliseconds, for many hands", maxAhead, 8 * time.Millisecond, 1, 10, 8, 2},
		{"a second, for many hands", maxAhead, time.Second, 1, 10, 8, 0},
		{"very large, for many hands", maxAhead, time.Microsecond, 1, 8 << 20, 8, 0},
	} {
		r := bounded(c.most)
		r.learn(c.spent, c.items)
		r.stock(c.spent, c.items, c.size, c.hands)
		if got := r.ahead.Load(); got != c.want {
			t.Errorf("%s: %d batches in stock, not %d", c.name, got, c.want)
		}
	}
	r := bounded(maxAhead)
	r.learn(time.Second, 10)
	r.stock(time.Microsecond, 1, 10, 8)
	if got := r.ahead.Load(); got != 0 {
		t.Errorf("%d in stock after one that was cheap by chance", got)
	}
}
