package workers

import (
	"context"
	"slices"
	"sync"
	"time"
)

// overdue is how late a retry has to be until others than the worker that
// delayed it bring it back: that one is dead.
const overdue = time.Second

// grid is the multiple that times are rounded up to, so that many of them are few.
const grid = 10 * time.Millisecond

// An alarm is times to do something at.
type alarm struct {
	mu   sync.Mutex
	due  []time.Time // sorted
	rung chan struct{}
}

func newAlarm() *alarm { return &alarm{rung: make(chan struct{}, 1)} }

// in adds a time.
func (a *alarm) in(d time.Duration) {
	at := time.Now().Add(d + grid).Truncate(grid)
	a.mu.Lock()
	i, known := slices.BinarySearchFunc(a.due, at, time.Time.Compare)
	if !known {
		a.due = slices.Insert(a.due, i, at)
	}
	a.mu.Unlock()
	select {
	case a.rung <- struct{}{}:
	default:
	}
}

// next forgets the times that have come and returns how long it is to the
// next one; ok: there is one.
func (a *alarm) next() (d time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	passed, _ := slices.BinarySearchFunc(a.due, now.Add(1), time.Time.Compare)
	a.due = slices.Delete(a.due, 0, passed)
	if len(a.due) == 0 {
		return 0, false
	}
	return a.due[0].Sub(now), true
}

// requeueDue brings back the entries that this worker, or a dead one, has delayed,
// until ctx ends.
func (l *session) requeueDue(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.retry.rung:
		case <-timer.C:
			if err := l.client.RequeueDue(ctx); err != nil && ctx.Err() == nil {
				l.log.WarnContext(ctx, "retries could not be brought back", "err", err)
				l.retry.in(overdue)
			}
			if l.rested() {
				l.wake(ctx, "") // the fetcher may take items of the function again
			}
		}
		if d, ok := l.retry.next(); ok {
			timer.Reset(d)
		}
	}
}
