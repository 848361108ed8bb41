package worker

import (
	"context"
	"slices"
	"sync"
	"time"
)

// overdue is the delay of a retry after which other workers requeue it: the worker that delayed it
// is dead.
const overdue = time.Second

// alarmGrid is the multiple that times are rounded up to, so that many retries share a time.
const alarmGrid = 10 * time.Millisecond

// An alarm is a sorted list of times.
type alarm struct {
	mu   sync.Mutex
	due  []time.Time // sorted
	rung chan struct{}
}

func newAlarm() *alarm { return &alarm{rung: make(chan struct{}, 1)} }

// in adds a time.
func (a *alarm) in(d time.Duration) {
	at := time.Now().Add(d + alarmGrid).Truncate(alarmGrid)
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

// next drops the times that have passed and returns the time until the next one. ok reports whether
// there is one.
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

// requeueDue requeues the delayed entries that are due, of this worker and of dead ones, until ctx
// ends.
func (s *session) requeueDue(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.retries.rung:
		case <-timer.C:
			if err := s.client.RequeueDue(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "due retries were not requeued; trying again", "err", err)
				s.retries.in(overdue)
			}
			if s.worker.rested() {
				s.wake(ctx, "") // a function may run again
			}
		}
		if d, ok := s.retries.next(); ok {
			timer.Reset(d)
		}
	}
}
