package broker_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// scatterBatches stores n batches of one item each.
func scatterBatches(t *testing.T, c *broker.Client, f flow, n int64) {
	t.Helper()
	var parcels []broker.Parcel
	for at := range n {
		parcels = append(parcels, broker.Parcel{Batch: framed("s1", at, "item")})
	}
	must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, parcels))
}

// If requeued entries were read after the backlog, an ordered gather would have to buffer all of
// it.
func TestRequeuedEntriesAreReadBeforeBacklog(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "one", "two")}}))
		first := f.takeAll(t, c, "w1")[0]
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{
			{Batch: framed("s1", 2, "three")}, {Batch: framed("s1", 3, "four")}, {Batch: framed("s1", 4, "five")},
		}))
		head, rest, err := first.Split(1)
		if err != nil {
			t.Fatal(err)
		}
		must[[]broker.Outcome](t)(c.Complete(t.Context(), []broker.Completion{{
			Entry: first, In: f.a, Outs: []broker.Output{{Queue: f.b, Batch: head}}, Remainders: []broker.Remainder{{Batch: rest}},
		}}))
		next := func(worker string, want int64) {
			t.Helper()
			taken := must[[]broker.Taken](t)(c.Take(t.Context(), worker, 1, 1, f.routes()))[0].Entries
			if len(taken) != 1 || taken[0].First != want {
				t.Fatalf("%s takes %+v and not the item %d", worker, taken, want)
			}
		}
		dies := func(worker string) {
			t.Helper()
			if err := c.Die(t.Context(), worker); err != nil {
				t.Fatal(err)
			}
		}
		next("w1", 1)
		dies("w1")
		next("w1", 1)
		next("w2", 2)
		dies("w2")
		next("w1", 2)
		next("w1", 3)
	})
}

// An entry that another program deletes while it is pending belongs to no consumer afterwards, and
// is not delivered to successors again and again.
func TestDeletedEntriesAreNotClaimed(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 5)
		pending := func(key string) int64 { return c.Raw().XPending(t.Context(), c.Key(key), "w").Val().Count }
		entries := f.takeAll(t, c, "w1")
		must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(entries[2:])))
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "dead", "b"))
		r := c.Reader("g1", time.Second)
		defer r.Close()
		read, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 10, 0)
		if err != nil || len(read) != 3 {
			t.Fatal(read, err)
		}
		if _, err := c.Ack(t.Context(), g, read[2:], nil, 0, func(string) string { return "a" }); err != nil {
			t.Fatal(err)
		}
		if a, b := pending("q:a"), pending("q:b"); a != 2 || b != 2 {
			t.Errorf("pending of what is finished are %d and %d", a-2, b-2)
		}
		for key, id := range map[string]string{"q:a": entries[0].ID, "q:b": read[0].ID} {
			if n := c.Raw().XDel(t.Context(), c.Key(key), id).Val(); n != 1 {
				t.Fatalf("%s has no %s", key, id)
			}
		}
		if held := must[[]broker.Entry](t)(c.Held(t.Context(), "w1", "a")); len(held) != 1 || held[0].ID != entries[1].ID {
			t.Errorf("the worker holds %+v", held)
		}
		if err := c.Die(t.Context(), "w1"); err != nil {
			t.Fatal(err)
		}
		if n := pending("q:a"); n != 0 {
			t.Errorf("%d are pending with nobody", n)
		}
		if back := f.takeAll(t, c, "w1"); len(back) != 1 || back[0].First != 1 {
			t.Errorf("there come back %+v", back)
		}
		for _, heir := range []string{"g2", "g3"} {
			g = must[broker.Gather](t)(c.Consume(t.Context(), heir, "dead", "b"))
			if left := must[[]broker.Entry](t)(c.Inherit(t.Context(), g)); len(left) != 1 || left[0].ID != read[1].ID {
				t.Errorf("%s inherits %+v", heir, left)
			}
		}
	})
}

// More readers block than a pool has connections, and all other commands still run.
func TestBlockedReadersUseNoPoolConnections(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	c, err := broker.Open(server.URL(), broker.Options{})
	c = opened(t, c, err)
	f := makeFlow(t, c, 0)
	n := 10*runtime.GOMAXPROCS(0) + 10 // a pool of go-redis has ten connections for each processor
	heard := make(chan string, n)
	for i := range n {
		id := fmt.Sprint("reader-", i)
		if err := c.Mailbox(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		r := c.Reader(id, time.Minute)
		go func() {
			defer r.Close()
			_, hints, err := r.Read(context.Background(), nil, 1, time.Minute)
			heard <- fmt.Sprint(hints, err)
		}()
	}
	testkit.Eventually(t, func() bool {
		return strings.Contains(c.Raw().Info(t.Context(), "clients").Val(), fmt.Sprintf("blocked_clients:%d\r\n", n))
	}, "readers that wait")
	scatterBatches(t, c, f, 3)
	must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(f.takeAll(t, c, "w1"))))
	for i := range n {
		if err := c.SendHint(t.Context(), fmt.Sprint("reader-", i), broker.Hint{Kind: broker.HintRoom}); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		if text := <-heard; text != "[{room }] <nil>" {
			t.Errorf("a reader hears %s", text)
		}
	}
}

// stored items are in the backlog, in batches of size; the window is that of their source.
const stored, size, window = 100_000, 20, 1000

// backlog stores items of the source s in the queue q, which a stage reads.
func backlog(t *testing.T, c *broker.Client) {
	t.Helper()
	q, _, err := c.Declare(t.Context(), broker.Queue{Name: "q"})
	var out broker.Queue
	if err == nil {
		out, _, err = c.Declare(t.Context(), broker.Queue{Name: "out", From: []string{"q"}})
	}
	if err == nil {
		err = c.Stage(t.Context(), broker.Stage{ID: "stage", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{q}, Outs: []broker.Out{{Queue: out}}})
	}
	if err == nil {
		err = c.Join(t.Context(), broker.RoleWorker, "w1", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := c.Source(t.Context(), "s", q, 1)
	if err != nil {
		t.Fatal(err)
	}
	items := make([]string, size)
	for at := int64(0); at < stored; {
		var parcels []broker.Parcel
		for range 100 {
			parcels = append(parcels, broker.Parcel{Batch: framed("s", at, items...)})
			at += size
		}
		if got := must[broker.Scattered](t)(c.Scatter(t.Context(), s, "x", broker.Window{Items: window, OnceGathered: true}, parcels)); got.Stored != at {
			t.Fatalf("%+v", got)
		}
	}
}

// A backlog of 100,000 items was stored before the first gather. Then workers take requeued entries
// and entries within the window, and get a hint when the window moves.
func TestTakeRespectsWindow(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		ctx := t.Context()
		backlog(t, c)
		take := func() broker.Taken {
			t.Helper()
			return must[[]broker.Taken](t)(c.Take(ctx, "w1", 30, 0, []broker.Route{{In: "q"}}))[0]
		}
		if got := take(); len(got.Entries) != 30 || got.Beyond { // there is no gather
			t.Fatalf("%d entries, %v", len(got.Entries), got.Beyond)
		}
		g := must[broker.Gather](t)(c.Consume(ctx, "g", "x", "out"))
		if _, err := c.Watch(ctx, g, broker.Path{Queue: "q"}, "0"); err != nil {
			t.Fatal(err)
		}
		if got := take(); len(got.Entries) != window/size-30 || got.Beyond {
			t.Fatalf("%d entries, %v", len(got.Entries), got.Beyond)
		}
		if got := take(); len(got.Entries) != 0 || !got.Beyond {
			t.Fatalf("%d entries, %v", len(got.Entries), got.Beyond)
		}
		if err := c.GiveBack(ctx, "w1", "q"); err != nil {
			t.Fatal(err)
		}
		if got := take(); len(got.Entries) != 30 || got.Entries[0].Kind != broker.Returned {
			t.Fatalf("%d entries came back", len(got.Entries))
		}
		for ; len(take().Entries) > 0; take() {
		}
		if _, err := c.Ack(ctx, g, nil, []broker.Mark{{Source: "s", Delivered: "50", Low: 50}}, 0, func(string) string { return "q" }); err != nil {
			t.Fatal(err)
		}
		r := c.Reader("w1", time.Minute)
		defer r.Close()
		if _, hints, err := r.Read(ctx, nil, 1, time.Minute); err != nil || len(hints) == 0 || hints[0].Kind != broker.HintRoom {
			t.Errorf("told %v, %v", hints, err)
		}
		if got := take(); len(got.Entries) != 3 || got.Entries[2].First != window+2*size {
			t.Errorf("%d entries", len(got.Entries))
		}
	})
}

// A read with a shorter wait than its Reader allows fails soon after that wait if the server hangs.
func TestReadThatHangsEndsWithItsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		var hangs atomic.Bool
		c, err := broker.Open("redis://127.0.0.1/", broker.Options{Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := server.Dial(ctx, network, addr)
			return mutedConn{conn, &hangs}, err
		}})
		c = opened(t, c, err)
		must[any](t)(nil, c.Join(t.Context(), broker.RoleWorker, "w1", nil))
		r := c.Reader("w1", time.Hour)
		defer r.Close()
		must[any](t)(nil, c.Raw().Ping(t.Context()).Err())
		if _, _, err := r.Read(t.Context(), nil, 1, time.Second); err != nil {
			t.Fatal(err)
		}
		hangs.Store(true)
		begun := time.Now()
		_, _, err = r.Read(t.Context(), nil, 1, 2*time.Second)
		if took := time.Since(begun); err == nil || took > 10*time.Second {
			t.Errorf("the read ended after %v, %v", took, err)
		}
	})
}

// A mutedConn drops what is written while it is muted.
type mutedConn struct {
	net.Conn
	muted *atomic.Bool
}

func (c mutedConn) Write(p []byte) (int, error) {
	if c.muted.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}
