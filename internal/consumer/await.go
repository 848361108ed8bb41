package consumer

import (
	"context"
	"errors"
	"slices"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// ErrOver says that a gather has ended before an item was acknowledged.
var ErrOver = errors.New("the gather has ended")

// waiters are the calls of AckWait that wait. The lock of the tracker guards them.
type waiters struct {
	writing []broker.Mark // marks that the committer is writing
	list    []*waiter
}

// A waiter waits until the mark of a source is written.
type waiter struct {
	source  string
	written chan error
	writing bool // the mark is being written
}

// AckWait is Ack, and blocks until Redis has stored the acknowledgement.
func (tk *Ticket) AckWait(ctx context.Context) error {
	tk.Ack()
	written, err := tk.open.tracker.await(tk)
	if written == nil {
		return err
	}
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await returns a channel that receives the result of the acknowledgement of an item. The channel
// is nil if the result is known: it is err then.
func (t *tracker) await(tk *Ticket) (written <-chan error, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	source, pending := t.markOf(itemAt(tk.open.rg, int(tk.index)))
	changed := t.changed[source] != nil
	switch {
	case tk.state == nacked:
		return nil, errNacked
	case tk.state == acked && !pending:
		return nil, nil
	case t.over != nil:
		return nil, t.over
	}
	w := &waiter{source, make(chan error, 1), !changed}
	t.waiters.list = append(t.waiters.list, w)
	return w.written, nil
}

// begin records that marks are being written.
func (ws *waiters) begin(marks []broker.Mark) {
	ws.writing = marks
	for _, w := range ws.list {
		w.writing = slices.ContainsFunc(marks, func(m broker.Mark) bool { return m.Source == w.source })
	}
}

// confirm ends the calls whose marks are written.
func (ws *waiters) confirm() {
	ws.writing = nil
	ws.list = slices.DeleteFunc(ws.list, func(w *waiter) bool {
		if w.writing {
			w.written <- nil
		}
		return w.writing
	})
}

// fail records that the marks could not be written.
func (ws *waiters) fail() {
	ws.writing = nil
	for _, w := range ws.list {
		w.writing = false
	}
}

// close ends all calls with an error.
func (ws *waiters) close(err error) {
	for _, w := range ws.list {
		w.written <- err
	}
	ws.list = nil
}

// close ends the acknowledgements. err is the reason, nil if the stream has ended.
func (t *tracker) close(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = errors.Join(ErrOver, err)
	t.waiters.close(t.over)
}
