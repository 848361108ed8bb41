//go:build !race

package consumer

// These tests take minutes of virtual time, in which one goroutine at a time runs. The race
// detector makes them six times as long.

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// Hundreds of sources wait for a worker that does not start. The gather audits none of their items,
// and the cost of refreshes does not grow with the number of sources.
func TestBacklogDelaysAudits(t *testing.T) {
	idle := func(t *testing.T, sources int) (bytes int64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			server := embedded.New()
			t.Cleanup(server.Close)
			w, m := brokertest.Metered(t, server)
			c := w.C
			a := w.Queue(t, broker.Queue{Name: "a"})
			b := w.Queue(t, broker.Queue{Name: "b", From: []string{"a"}, Seal: true})
			stage := broker.Stage{ID: "b", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{a}, Outs: []broker.Out{{Queue: b}}}
			if err := c.Stage(t.Context(), stage); err != nil {
				t.Fatal(err)
			}
			for i := range sources {
				name := "s" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String()
				s, _, err := c.Source(t.Context(), name, a, 0)
				if err == nil {
					_, err = c.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: brokertest.Numbers(name, 0, 2)}})
				}
				if err = errors.Join(err, c.Finish(t.Context(), s, 2)); err != nil {
					t.Fatal(err)
				}
			}
			r := receive(t, w, "b", ReceiverOptions{})
			<-time.After(time.Minute)
			synctest.Wait()
			before := m.Bytes.Load()
			<-time.After(5 * time.Minute)
			synctest.Wait()
			bytes = m.Bytes.Load() - before
			if r.loop.auditor.backoff != r.loop.auditor.interval {
				t.Error("it audits items that wait for a worker")
			}
			r.cancel()
			_ = r.ended(t)
		})
		return bytes
	}
	few, many := idle(t, 64), idle(t, 300)
	if many > few+few/4 {
		t.Errorf("%d bytes were sent behind 64 sources, %d behind 300", few, many)
	}
}

// Items that are in progress for minutes are not lost: in the slots of a live worker, before their
// retry, or before any worker reads them.
func TestItemsInProgressAreNotLost(t *testing.T) {
	for what, hold := range map[string]func(t *testing.T, l line) (release func()){
		"in the slots of a worker": func(t *testing.T, l line) func() {
			t.Helper()
			l.must(t, l.C.Join(t.Context(), broker.RoleWorker, "w1", nil))
			l.read(t, "q:a", "w1")
			l.read(t, "q:a", "w1")
			return func() { l.must(t, l.C.GiveBack(t.Context(), "w1", "a")) }
		},
		"in the return stream": func(t *testing.T, l line) func() {
			t.Helper()
			l.must(t, l.C.Join(t.Context(), broker.RoleWorker, "w1", nil))
			l.read(t, "q:a", "w1")
			l.read(t, "q:a", "w1")
			l.must(t, l.C.GiveBack(t.Context(), "w1", "a"))
			return func() {}
		},
		"waiting for a retry": func(t *testing.T, l line) func() {
			t.Helper()
			for range 4 {
				l.move(t, "q:a", "l:a")
			}
			return func() {
				for range 4 {
					l.move(t, "l:a", "r:a")
				}
			}
		},
		"waiting for a worker": func(*testing.T, line) func() { return func() {} },
	} {
		for _, unordered := range []bool{false, true} {
			t.Run(what, func(t *testing.T) {
				inBubble(t, func(t *testing.T, w brokertest.World) {
					t.Helper()
					l := newLine(t, w)
					l.unordered = unordered
					release := hold(t, l)
					r := receive(t, w, "b", ReceiverOptions{Unordered: unordered})
					r.waits(t, 5*time.Minute)
					if audited := r.loop.auditor.backoff > r.loop.auditor.interval; audited != (what != "waiting for a worker") {
						t.Errorf("audited: %v", audited)
					}
					release()
					l.work(t)
					got := r.all(t)["s"]
					if err := r.ended(t); err != nil {
						t.Error(err)
					}
					l.compare(t, got, nil)
				})
			})
		}
	}
}
