package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// The reasons for which a worker takes no items. Health returns one of them, or the time since the
// last answer of Redis.
var (
	errNotJoined = errors.New("the worker has not joined yet")
	errStopping  = errors.New("the worker stops: its context has ended")
	errDraining  = errors.New("the worker drains: an operator lets it take no more items")
	errHasEnded  = errors.New("the worker has ended")
	errRejoining = errors.New("the worker lost its lease in a partition and joins again")
)

// hasAnswered records that Redis has answered.
func (s *session) hasAnswered() { s.answered.Store(int64(time.Since(s.worker.started))) }

// silence returns the time since Redis has answered.
func (s *session) silence() time.Duration {
	return time.Since(s.worker.started) - time.Duration(s.answered.Load())
}

// Health returns nil if the worker has joined each partition, Redis has answered in each of them
// within two heartbeats, and the worker does not drain. Otherwise it returns the reason. It sends no
// command.
func (w *Worker) Health() error {
	w.mu.Lock()
	progress := w.progress
	w.mu.Unlock()
	switch {
	case progress == ended:
		return errHasEnded
	case progress == running && w.stopping.Load():
		return errStopping
	case progress == running && w.draining.Load():
		return errDraining
	}
	select {
	case <-w.Ready():
	default:
		return errNotJoined
	}
	sessions := w.partitions.sessions()
	if len(sessions) < len(w.Client.Partitions()) {
		return errRejoining
	}
	if s := unanswered(sessions); s != nil {
		return fmt.Errorf("redis has not answered for %v in partition %d", s.silence().Round(time.Second), s.client.Index())
	}
	return nil
}

// Answered reports whether Redis has answered in each partition within two heartbeats.
func (w *Worker) Answered() bool {
	sessions := w.partitions.sessions()
	return len(sessions) > 0 && unanswered(sessions) == nil
}

// unanswered returns a session without an answer of Redis within two heartbeats, nil if there is none.
func unanswered(sessions []*session) *session {
	for _, s := range sessions {
		if s.silence() > 2*s.lease/broker.Beats {
			return s
		}
	}
	return nil
}

// LeftBehind returns the number of calls that did not return after their timeout.
func (w *Worker) LeftBehind() int64 { return w.counts.left.Load() }

// Running returns the items that slots run.
func (w *Worker) Running() (items []broker.RunningItem) {
	now := time.Now()
	for _, s := range w.partitions.sessions() {
		for _, h := range s.slots.list() {
			if item, ok := h.now.item(now); ok {
				items = append(items, item)
			}
		}
	}
	return items
}
