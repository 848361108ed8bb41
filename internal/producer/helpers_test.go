package producer

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// sender returns a Sender of a new source.
func sender(t *testing.T, w brokertest.World, name string, q broker.Queue, window broker.Window) *Sender {
	t.Helper()
	s, wake := w.NewSource(t, name, q)
	return NewSender(w.C, s, "x1", wake, window)
}

// A gather receives the items of a queue one by one.
type gather struct {
	*consumer.Receiver
	cancel context.CancelFunc
	done   chan error
	source string
	items  []string // of the last range, not yet returned by item
}

func receive(t *testing.T, w brokertest.World, queue string) *gather {
	t.Helper()
	r, err := consumer.Receive(t.Context(), w.C, queue, consumer.ReceiverOptions{
		Executor: "x1", Log: slog.New(slog.DiscardHandler), Later: func(string, func(context.Context) error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g := &gather{Receiver: r, cancel: cancel, done: make(chan error, 1)}
	go func() { g.done <- r.Run(ctx) }()
	t.Cleanup(func() {
		r.Left()
		cancel()
	})
	return g
}

// item returns the next item, which is not delivered yet. At the end, source is "".
func (g *gather) item(t *testing.T) (source, text string) {
	t.Helper()
	for len(g.items) == 0 {
		select {
		case p, ok := <-g.Pieces():
			if !ok {
				return "", ""
			}
			g.source, g.items = p.Entry.Source, texts(p)
		case <-time.After(20 * time.Second):
			t.Fatal("no item arrives")
		}
	}
	text, g.items = g.items[0], g.items[1:]
	return g.source, text
}

// texts returns the items of a range; "failed: " and the message in the place of a failure.
func texts(p consumer.Range) (all []string) {
	r := p.Reader()
	for range p.Len() {
		if p.Entry.Lost != nil {
			all = append(all, "failed: "+p.Entry.Lost.Message)
			continue
		}
		item, failed, _ := r.Next()
		if failed {
			item = []byte("failed: " + batch.ParseFailure(item).Message)
		}
		all = append(all, string(item))
	}
	return all
}

// all receives and delivers all items, by source.
func (g *gather) all(t *testing.T) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	for source, text := g.item(t); source != ""; source, text = g.item(t) {
		got[source] = append(got[source], text)
		g.Delivered(1)
	}
	return got
}

// ended waits for the end of the receiver.
func (g *gather) ended(t *testing.T) error {
	t.Helper()
	g.Left()
	select {
	case err := <-g.done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the receiver does not end")
		return nil
	}
}
