package consumer

import (
	"errors"
	"slices"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// ErrOver says that a gather has ended before an item was acknowledged.
var ErrOver = errors.New("the gather has ended")

// A waiter waits until the mark of a source is written.
type waiter struct {
	source  string
	written chan error
	taken   bool // by the acknowledgement that is being written
}

// await returns a channel that tells when the acknowledgement of an item is written. It is nil
// if that is known: err then tells how.
func (a *acks) await(t *Ticket) (written <-chan error, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	source := t.of.piece.Entry.Source
	moved := a.moved[source]
	writing := slices.ContainsFunc(a.writing, func(m broker.Mark) bool { return m.Source == source })
	switch {
	case t.state == givenBack:
		return nil, ErrGivenBack
	case t.state == acked && !moved && !writing:
		return nil, nil
	case a.over != nil:
		return nil, a.over
	}
	w := &waiter{source, make(chan error, 1), !moved}
	a.waiters = append(a.waiters, w)
	return w.written, nil
}

// begun takes note that marks are being written. The lock is held.
func (a *acks) begun(marks []broker.Mark) {
	a.writing = marks
	for _, w := range a.waiters {
		w.taken = slices.ContainsFunc(marks, func(m broker.Mark) bool { return m.Source == w.source })
	}
}

// confirm tells those who wait for the marks that were written. The lock is held.
func (a *acks) confirm() {
	a.writing = nil
	a.waiters = slices.DeleteFunc(a.waiters, func(w *waiter) bool {
		if w.taken {
			w.written <- nil
		}
		return w.taken
	})
}

// refuse takes note that marks could not be written. The lock is held.
func (a *acks) refuse() {
	a.writing = nil
	for _, w := range a.waiters {
		w.taken = false
	}
}

// close ends the acknowledgements: err is why, nil if the stream has ended.
func (a *acks) close(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = errors.Join(ErrOver, err)
	for _, w := range a.waiters {
		w.written <- a.over
	}
	a.waiters = nil
}
