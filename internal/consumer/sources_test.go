package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// abandoned makes a source of three items and abandons it.
func abandoned(t *testing.T, w brokertest.World, name string, q broker.Queue, opts ...broker.SourceOption) broker.Source {
	t.Helper()
	s, stored, err := w.C.Source(t.Context(), name, q, 0, opts...)
	if err == nil {
		_, err = w.C.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: brokertest.Numbers(name, stored, stored+3)}})
	}
	if err == nil {
		err = w.C.Abandon(t.Context(), s, "its process died")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedQueueEndsWithAbandonedSources(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		abandoned(t, w, "s0", q)
		abandoned(t, w, "s1", q)
		if err := w.C.Seal(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{})
		if got := r.all(t); !slices.Equal(got["s0"], brokertest.Offsets(0, 3)) || !slices.Equal(got["s1"], brokertest.Offsets(0, 3)) {
			t.Errorf("received %v", got)
		}
		err := r.ended(t)
		if !errors.Is(err, broker.ErrTruncated) || !strings.Contains(err.Error(), "source s0: its process died") || !strings.Contains(err.Error(), "source s1") {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestOpenQueueReportsAbandonedSources(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		abandoned(t, w, "going", q)
		abandoned(t, w, "staying", q, broker.Durable())
		r := receive(t, w, "q", ReceiverOptions{})
		reported := map[string]int{}
		for range 8 {
			source, text := r.item(t)
			if text = strings.TrimPrefix(text, "failed: queue q: "); strings.HasPrefix(text, broker.ErrTruncated.Error()+", after 3 items of source going: its process died") ||
				strings.HasPrefix(text, "source staying is away after 3 items: its process died") {
				reported[source]++
				if code := r.current.Entry.Lost.Code; code != map[string]string{"going": batch.CodeCut, "staying": batch.CodeAway}[source] {
					t.Errorf("%s is reported with the code %s", source, code)
				}
			}
			r.Delivered(1)
		}
		if reported["going"] != 1 || reported["staying"] != 1 {
			t.Fatalf("reported %v", reported)
		}
		abandoned(t, w, "staying", q, broker.Durable()) // its successor dies as well
		var texts []string
		for range 4 {
			_, text := r.item(t)
			if texts = append(texts, text); strings.Contains(text, "away after 3 items") {
				t.Errorf("a notice is repeated: %s", text)
			}
			r.Delivered(1)
		}
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, "away after 6 items") }) {
			t.Errorf("the second death is not reported: %q", texts)
		}
		s, stored, err := w.C.Source(t.Context(), "staying", q, 0)
		if err == nil {
			err = w.C.Finish(t.Context(), s, stored)
		}
		if err == nil {
			err = w.C.Seal(t.Context(), "q")
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := r.all(t); len(got) > 0 {
			t.Errorf("received after the end: %v", got)
		}
		if err := r.ended(t); err != nil {
			t.Errorf("it ended with %v", err)
		}
		if _, _, err := w.C.Source(t.Context(), "staying", q, 0); !errors.Is(err, broker.ErrEnded) {
			t.Errorf("the ended source goes on: %v", err)
		}
	})
}

// A source of an open multiplexed queue is abandoned. Each branch reports that once and forgets the
// source.
func TestEachBranchReportsAnAbandonedSource(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		stage := broker.Stage{ID: "copy", Kind: broker.KindCopy, Ins: []broker.Queue{q}}
		for _, branch := range []string{"~0", "~1"} {
			out := w.Queue(t, broker.Queue{Name: "q" + branch[1:], From: []string{"q" + branch}, Seal: true})
			stage.Outs = append(stage.Outs, broker.Out{Queue: out, Branch: branch})
		}
		if err := w.C.Stage(t.Context(), stage); err != nil {
			t.Fatal(err)
		}
		abandoned(t, w, "s", q)
		taken, err := w.C.Take(t.Context(), "w1", 10, 0, []broker.Route{{In: "q", Outs: []string{"q0", "q1"}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range taken[0].Entries {
			done := broker.Completion{Entry: e, In: q}
			for _, out := range stage.Outs {
				b := e.Batch
				b.Source += out.Branch
				done.Outs = append(done.Outs, broker.Output{Queue: out.Queue, Batch: b})
			}
			if _, err := w.C.Complete(t.Context(), []broker.Completion{done}); err != nil {
				t.Fatal(err)
			}
		}
		var both []*running
		for _, name := range []string{"q0", "q1"} {
			r := receive(t, w, name, ReceiverOptions{})
			for range 3 {
				r.item(t)
				r.Delivered(1)
			}
			if _, text := r.item(t); !strings.Contains(text, broker.ErrTruncated.Error()) {
				t.Errorf("behind the last item of %s comes %q", name, text)
			}
			r.Delivered(1)
			both = append(both, r)
		}
		testkit.Eventually(t, func() bool { return w.Raw.Exists(t.Context(), w.Key("s:s")).Val() == 0 }, "the source is forgotten")
		for _, r := range both {
			r.cancel()
			_ = r.ended(t)
		}
	})
}

// An open queue may get a source at any time, also after all its sources have ended.
func TestOpenQueueWaitsForItsNextSource(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		r := receive(t, w, "q", ReceiverOptions{})
		for i := range 3 {
			select {
			case _, open := <-r.Pieces():
				t.Fatalf("received between two sources, end: %v", !open)
			case <-time.After(time.Hour):
			}
			if err := <-brokertest.Send(t.Context(), sender(t, w, fmt.Sprint("s", i), q), 2, 5); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				r.item(t)
				r.Delivered(1)
			}
		}
		r.cancel()
		_ = r.ended(t)
	})
}

// A named queue that stays open keeps no source that was delivered to its end.
func TestSourcesOfAnOpenQueueAreForgotten(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		r := receive(t, w, "q", ReceiverOptions{})
		var senders []*producer.Sender
		for i := range 3 {
			senders = append(senders, sender(t, w, fmt.Sprint("s", i), q))
			if err := <-brokertest.Send(t.Context(), senders[i], 2, 5); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				r.item(t)
				r.Delivered(1)
			}
		}
		forgotten := func() bool {
			return !slices.ContainsFunc(w.Keys(), func(key string) bool {
				_, name, _ := cutKey(key)
				return name == "s:s0" || name == "s:s1" || name == "s:s2"
			})
		}
		testkit.Eventually(t, forgotten, "the sources are gone")
		if err := senders[0].Finish(t.Context(), 5); !errors.Is(err, broker.ErrQueueNotFound) || !forgotten() {
			t.Errorf("a late end of a source that is gone: %v", err)
		}
		found, err := w.C.Look(t.Context(), "q")
		if err != nil || found.Inc != q.Inc {
			t.Fatal(found, err)
		}
		r.cancel()
		_ = r.ended(t)
	})
}

// Redis has lost the end of a source with its last writes. The source has not ended then and is not
// forgotten.
func TestSourceWithALostEndIsNotForgotten(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		short(t, w, "s", q)
		r := receive(t, w, "q", ReceiverOptions{})
		r.item(t)
		if err := w.Raw.HSet(t.Context(), w.Key("s:s"), "end", -1).Err(); err != nil {
			t.Fatal(err)
		}
		r.Delivered(1)
		mark := func() bool { return w.Raw.HGet(t.Context(), w.Key("d:q"), "s").Val() == "1" }
		testkit.Eventually(t, mark, "the item is acknowledged")
		if w.Raw.Exists(t.Context(), w.Key("s:s")).Val() == 0 {
			t.Error("the source is forgotten, and its producer cannot go on")
		}
		if at := w.Raw.HGet(t.Context(), w.Key("s:s"), "g:q").Val(); at != "1" {
			t.Errorf("the source counts as delivered to %s, and the next gather would not look at it", at)
		}
		r.cancel()
		_ = r.ended(t)
	})
}

// short makes a source with one item and its end.
func short(t *testing.T, w brokertest.World, name string, q broker.Queue) {
	t.Helper()
	if err := <-brokertest.Send(t.Context(), sender(t, w, name, q), 1, 1); err != nil {
		t.Fatal(err)
	}
}

// A call has failed, so an entry is read again after it was delivered. Its source is forgotten
// meanwhile, and the entry arrives together with one of an unknown source. It is not handed out
// again.
func TestEntryOfAForgottenSourceIsHandedOutOnce(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		short(t, w, "s", q)
		r, err := Receive(t.Context(), w.C, "q", ReceiverOptions{Executor: "x1", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer r.loop.reader.conn.Close()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		entries, err := r.loop.read(t.Context())
		must(err)
		must(r.loop.process(t.Context(), entries))
		r.Delivered((<-r.Pieces()).Len())
		must(r.loop.refresh(t.Context())) // s is known, has ended and will be retired
		short(t, w, "t", q)
		must(w.Raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "w", Consumer: r.gather.ID, Streams: []string{w.Key("q:q"), ">"}}).Err())
		held, err := w.C.HeldBy(t.Context(), r.gather) // as the reader does after a failed call
		must(err)
		if len(held) != 2 {
			t.Fatalf("%d entries are held", len(held))
		}
		must(r.committer.flush(t.Context()))
		if sources := w.Raw.ZRange(t.Context(), w.Key("src:q"), 0, -1).Val(); !slices.Equal(sources, []string{"t"}) {
			t.Fatalf("Redis knows the sources %q", sources)
		}
		must(r.loop.process(t.Context(), held))
		r.output.close()
		var got []string
		for rg := range r.Pieces() {
			got = append(got, rg.Entry.Source)
		}
		if !slices.Equal(got, []string{"t"}) {
			t.Errorf("entries of %q are handed out", got)
		}
		must(r.release(t.Context()))
	})
}

// A gather finds the end of a source without a hint.
func TestEndIsFoundWithoutAHint(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		s := sender(t, w, "s", q)
		if err := errors.Join(s.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 0, 5)}), w.C.Seal(t.Context(), "q")); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{})
		for range 5 {
			r.item(t)
			r.Delivered(1)
		}
		if n := w.Raw.Del(t.Context(), "{dq:0}:watch:q").Val(); n != 1 {
			t.Fatal("the gather watches no source")
		}
		if err := s.Finish(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		if source, text := r.item(t); source != "" {
			t.Errorf("received %q after the end", text)
		}
		if err := r.ended(t); err != nil {
			t.Error(err)
		}
	})
}

// An idle gather reads every two seconds and refreshes its sources more and more rarely. It still
// finds an end without a hint.
func TestIdleGatherRefreshesRarely(t *testing.T) {
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
		frame := r.current.Entry.Frame
		r.Spent(r.current)
		<-time.After(time.Minute)
		before := m.Requests.Load()
		<-time.After(2 * time.Minute)
		const reads = int64(2 * time.Minute / readWait)
		refreshes := m.Requests.Load() - before - reads
		if most := int64(2*time.Minute/maxRefreshInterval) + 1; refreshes > most || refreshes < most/2 {
			t.Errorf("%d refreshes and %d reads in two minutes, not up to %d", refreshes, reads, most)
		}
		if again := r.memory.Get(len(frame)); &again[0] == &frame[0] {
			t.Error("an idle gather keeps memory of frames")
		}
		if err := w.Raw.Del(t.Context(), "{dq:0}:watch:q").Err(); err != nil { // no process gets a hint
			t.Fatal(err)
		}
		if err := c.Finish(t.Context(), source, 1); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, text := r.item(t); text != "" {
			t.Errorf("received %q after the end", text)
		}
		if took := time.Since(begin); took > maxRefreshInterval+2*readWait {
			t.Errorf("the end is found after %v", took)
		}
		if err := r.ended(t); err != nil {
			t.Error(err)
		}
	})
}

// A cutter can close all connections that were made with it.
type cutter struct {
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cutter) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cutter) cut() {
	c.mu.Lock()
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// A lost reply may have had a hint: a gather that was idle for long refreshes its sources at once.
func TestLostReplyRefreshesSourcesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		wire := &cutter{dial: server.Dial}
		w := brokertest.Dialed(t, server, wire.Dial)
		c := w.C
		q := w.Queue(t, broker.Queue{Name: "q"})
		source, _, err := c.Source(t.Context(), "s", q, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{})
		<-time.After(time.Minute)
		if err := w.Raw.Del(t.Context(), "{dq:0}:watch:q").Err(); err != nil { // no process gets a hint
			t.Fatal(err)
		}
		if err := c.Finish(t.Context(), source, 0); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		wire.cut()
		if _, text := r.item(t); text != "" {
			t.Errorf("received %q after the end", text)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the end is found after %v", took)
		}
		if err := r.ended(t); err != nil {
			t.Error(err)
		}
	})
}
