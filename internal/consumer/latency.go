package consumer

import (
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A latency counts items by the time from their scatter to their delivery. The lock of the tracker
// guards it.
type latency struct {
	now   func() time.Time // time of Redis
	times broker.Histogram
}

// add counts the items of an entry whose last item was just delivered, all with the same time.
func (l *latency) add(e *broker.Entry) {
	if at := e.Scattered(); !at.IsZero() {
		l.times.AddEach(l.now().Sub(at), e.N)
	}
}

// Latency returns the times from the scatter of items to their delivery. It counts the items of a
// batch when the last of them is delivered.
func (r *Receiver) Latency() broker.Histogram {
	r.tracker.mu.Lock()
	defer r.tracker.mu.Unlock()
	return r.tracker.latency.times.Clone()
}
