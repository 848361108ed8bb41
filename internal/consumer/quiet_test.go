package consumer

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// A gather in whose flow nothing happens reads every two seconds and looks at its
// sources ever more seldom, and still finds what a hint should have told.
func TestAGatherThatIdlesLooksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		w, m := brokertest.Metered(t, server)
		c := w.C
		q := w.Queue(t, broker.Queue{Name: "q"})
		source, _, err := c.Source(t.Context(), "s", q, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := producer.NewSender(c, source, "x1", nil, broker.Window{}).Send(t.Context(), brokertest.Texts(1, 10_000)); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{Executor: "x1", Log: slog.New(slog.DiscardHandler)})
		r.item(t)
		r.Delivered(1)
		frame := r.piece.Entry.Frame
		r.Spent(r.piece)
		<-time.After(time.Minute)
		before := m.Requests.Load()
		<-time.After(2 * time.Minute)
		const reads = int64(2 * time.Minute / readWait)
		looks := m.Requests.Load() - before - reads
		if most := int64(2*time.Minute/idlePace) + 1; looks > most || looks < most/2 {
			t.Errorf("%d looks beside %d reads in two minutes, not up to %d", looks, reads, most)
		}
		if again := r.memory.Get(len(frame)); &again[0] == &frame[0] {
			t.Error("a gather that idles keeps memory for frames")
		}
		if err := w.Raw.Del(t.Context(), "{dq:0}:watch:q").Err(); err != nil { // nobody is told
			t.Fatal(err)
		}
		if err := c.Finish(t.Context(), source, 1); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, text := r.item(t); text != "" {
			t.Errorf("%q comes", text)
		}
		if took := time.Since(begin); took > idlePace+2*readWait {
			t.Errorf("the end is noticed after %v", took)
		}
		if err := r.ended(t); err != nil {
			t.Error(err)
		}
	})
}
