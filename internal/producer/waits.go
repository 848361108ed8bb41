package producer

import (
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/waits"
)

// slowAnswer is the time from which on a call counts as one that Redis does not answer.
const slowAnswer = time.Second

// waitClocks measure for how long a source waits for room, for its gathers and for Redis. The rest of
// the time it has no item to store.
type waitClocks struct {
	stored atomic.Int64
	answer *waits.Clock // of Redis
	full   *waits.Clock // for room in the queue
	window *waits.Clock // for the gathers

	room *waits.Clock // the one of the last two that runs, nil if none does
}

func newWaitClocks() *waitClocks {
	return &waitClocks{answer: waits.New(), full: waits.New(), window: waits.New()}
}

// answered notes a reply. A wait for room ends with the first item that is stored.
func (w *waitClocks) answered(got broker.Scattered) {
	if w.stored.Swap(got.Stored) < got.Stored || !got.Full {
		w.none()
	}
}

// forRoom notes that the source begins to wait after a reply, unless it waits for the same already.
func (w *waitClocks) forRoom(got broker.Scattered) {
	next := w.full
	if got.Window {
		next = w.window
	}
	if next == w.room {
		return
	}
	w.none()
	w.room = next
	next.Begin()
}

// none ends a wait for room.
func (w *waitClocks) none() {
	if w.room != nil {
		w.room.End()
		w.room = nil
	}
}

// Report describes the source and what it waits for. One goroutine calls it.
func (s *Sender) Report() broker.FeedReport {
	w := s.waits
	answer, full, window := w.answer.Read(), w.full.Read(), w.window.Read()
	r := broker.FeedReport{
		Queue: s.source.Queue.Name, Source: s.source.Name, Stored: w.stored.Load(), State: broker.FeedRunning,
		Waited: min(100, full.Percent+window.Percent), Caller: max(0, 100-answer.Percent-full.Percent-window.Percent),
	}
	wait := time.Duration(0)
	switch {
	case answer.For >= slowAnswer:
		r.State, wait = broker.FeedRedis, answer.For
	case full.For > 0:
		r.State, wait = broker.FeedFull, full.For
	case window.For > 0:
		r.State, wait = broker.FeedWindow, window.For
	}
	if wait > 0 {
		r.For = max(1, wait.Milliseconds())
	}
	return r
}
