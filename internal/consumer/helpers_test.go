package consumer

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// sender returns a Sender of a new source, without a window.
func sender(t *testing.T, w brokertest.World, name string, q broker.Queue) *producer.Sender {
	t.Helper()
	s, wake := w.NewSource(t, name, q)
	return producer.NewSender(w.C, s, "x1", wake, broker.Window{})
}

// A running receiver. Its items come one by one.
type running struct {
	*Receiver
	cancel context.CancelFunc
	done   chan error
	piece  Range
	next   int64
}

// inherit starts the successor of the receiver of a queue, whose executor has left
// meanwhile and joins again.
func inherit(t *testing.T, w brokertest.World, queue string) *running {
	t.Helper()
	err := w.C.Leave(t.Context(), broker.RoleExecutor, "x1")
	run := receive(t, w, queue, ReceiverOptions{})
	if err := errors.Join(err, w.C.Join(t.Context(), broker.RoleExecutor, "x1", nil)); err != nil {
		t.Fatal(err)
	}
	return run
}

func receive(t *testing.T, w brokertest.World, queue string, o ReceiverOptions) *running {
	t.Helper()
	o.Executor, o.Log, o.Later = "x1", slog.New(slog.DiscardHandler), func(string, func(context.Context) error) {}
	r, err := Receive(t.Context(), w.C, queue, o)
	if err != nil {
		t.Fatal(err)
	}
	r.auditor.pace, r.auditor.wait = 100*time.Millisecond, 100*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	run := &running{Receiver: r, cancel: cancel, done: make(chan error, 1)}
	go func() { run.done <- r.Run(ctx) }()
	t.Cleanup(func() {
		r.Left()
		cancel()
	})
	return run
}

// item receives the next item as text, "" at the end. It is not delivered yet.
func (r *running) item(t *testing.T) (source, text string) {
	t.Helper()
	if r.piece.Entry == nil || r.next == r.piece.To {
		select {
		case p, ok := <-r.Pieces():
			if !ok {
				return "", ""
			}
			r.piece, r.next = p, p.From
		case <-time.After(20 * time.Second):
			t.Fatal("no item comes")
		}
	}
	each(r.piece, func(i int, item []byte, f *batch.Failure) {
		if r.piece.From+int64(i) == r.next {
			text = string(item)
			if f != nil {
				text = "failed: " + f.Message
			}
		}
	})
	r.next++
	return r.piece.Entry.Source, text
}

// all receives and delivers everything, by source.
func (r *running) all(t *testing.T) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	for source, text := r.item(t); source != ""; source, text = r.item(t) {
		got[source] = append(got[source], text)
		r.Delivered(1)
	}
	return got
}

// ended waits until the receiver has.
func (r *running) ended(t *testing.T) error {
	t.Helper()
	r.Left()
	select {
	case err := <-r.done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the receiver does not end")
		return nil
	}
}
