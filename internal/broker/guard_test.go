package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A stream at its highest id accepts no entries. The completed entry stays pending, and is
// published after the stream is repaired.
func TestFailedAddKeepsEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "one")}}))
		done := f.whole(f.takeAll(t, c, "w1"))
		last := c.Raw().Do(t.Context(), "XADD", c.Key("q:b"), "18446744073709551615-18446744073709551615", "s", "s1", "o", 7, "n", 1, "p", "")
		if last.Err() != nil {
			t.Fatal(last.Err())
		}
		if outcomes, err := c.Complete(t.Context(), done); err != nil || outcomes[0] == broker.Committed || outcomes[0] == broker.Superseded {
			t.Fatalf("completed %v, %v", outcomes, err)
		}
		if in := queued(t, c, "a"); !slices.Equal(in, []string{"0+1"}) {
			t.Fatalf("a has %q", in)
		}
		if err := errors.Join(c.Raw().Del(t.Context(), c.Key("q:b")).Err(),
			c.Raw().XGroupCreateMkStream(t.Context(), c.Key("q:b"), "w", "0").Err()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []broker.Outcome{broker.Committed, broker.Superseded} {
			if outcomes := must[[]broker.Outcome](t)(c.Complete(t.Context(), done)); outcomes[0] != want {
				t.Fatalf("completed %v, not %s", outcomes, want)
			}
		}
		if in, out := queued(t, c, "a"), queued(t, c, "b"); len(in) != 0 || !slices.Equal(out, []string{"0+1"}) {
			t.Fatalf("a has %q, b has %q", in, out)
		}
	})
}

// A committed payload lives until its entry is delivered.
func TestCommittedPayloadsStay(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, large(0))}}))
		endless := func() {
			keys := c.Raw().Keys(t.Context(), c.Key("f:*")).Val()
			if len(keys) != 1 || c.Raw().PTTL(t.Context(), keys[0]).Val() >= 0 {
				t.Fatalf("of one large frame there are the payloads %q, or one with a lifetime", keys)
			}
		}
		endless()
		must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(f.takeAll(t, c, "w1"))))
		endless()
	})
}

// A failed XADD affects its entry only: the entries before and after it in the same call are
// completed.
func TestFailedAddStopsOnlyItsEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		other, _, err := c.Declare(t.Context(), broker.Queue{Name: "other"})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Raw().Do(t.Context(), "XADD", c.Key("q:other"), "18446744073709551615-18446744073709551615", "s", "s1", "o", 7, "n", 1, "p", "").Err(); err != nil {
			t.Fatal(err)
		}
		scatterBatches(t, c, f, 3)
		done := f.whole(f.takeAll(t, c, "w1"))
		done[1].Outs[0].Queue = other
		outcomes := must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
		if outcomes[0] != broker.Committed || outcomes[1] == broker.Committed || outcomes[2] != broker.Committed {
			t.Errorf("completed %v", outcomes)
		}
		if in, out := queued(t, c, "a"), queued(t, c, "b"); !slices.Equal(in, []string{"1+1"}) || !slices.Equal(out, []string{"0+1", "2+1"}) {
			t.Errorf("a has %q, b has %q", in, out)
		}
	})
}

// The payload of a failed XADD expires.
func TestPayloadOfFailedAddExpires(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		full := func(queue string) {
			err := c.Raw().Do(t.Context(), "XADD", c.Key("q:"+queue), "18446744073709551615-18446744073709551615", "s", "s1", "o", 7, "n", 1, "p", "").Err()
			if err != nil {
				t.Fatal(err)
			}
		}
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "one")}}))
		done := f.whole(f.takeAll(t, c, "w1"))
		done[0].Outs[0].Batch = framed("s1", 0, large(1))
		full("b")
		if outcomes, err := c.Complete(t.Context(), done); err != nil || outcomes[0] == broker.Committed || outcomes[0] == broker.Superseded {
			t.Fatalf("completed %v, %v", outcomes, err)
		}
		full("a")
		if _, err := c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 1, large(2))}}); err == nil {
			t.Fatal("scattered into a stream that takes no more")
		}
		keys := c.Raw().Keys(t.Context(), c.Key("f:*")).Val()
		for _, key := range keys {
			if ttl := c.Raw().PTTL(t.Context(), key).Val(); ttl < 0 {
				t.Errorf("the payload %s of no entry lives for %v", key, ttl)
			}
		}
		if len(keys) != 2 {
			t.Errorf("the payloads are %q", keys)
		}
	})
}

// A process that gives up a batch deletes its payload, unless the batch is stored. After a lost
// reply, followed by a takeover, it cannot know that.
func TestStoredPayloadIsNotDiscarded(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 1)
		parcels := []broker.Parcel{{Batch: framed("s1", 0, large(0))}, {Batch: framed("s1", 1, large(1))}}
		got := must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, parcels))
		if there := len(c.Raw().Keys(t.Context(), c.Key("f:*")).Val()); got.Stored != 1 || !got.Full || there != 2 {
			t.Fatalf("scattered %+v, there are %d payloads", got, there)
		}
		for range 2 {
			if err := c.Discard(t.Context(), parcels...); err != nil {
				t.Fatal(err)
			}
		}
		entries := f.takeAll(t, c, "w1")
		if len(entries) != 1 || entries[0].Lost != nil || !slices.Equal(texts(entries[0].Batch), []string{large(0)}) {
			t.Fatalf("there is %+v", entries)
		}
		if keys := c.Raw().Keys(t.Context(), c.Key("f:*")).Val(); len(keys) != 1 {
			t.Errorf("payloads are left: %q", keys)
		}
	})
}

// A refused completion leaves no payload, for example if it is repeated because the first reply was
// lost.
func TestRefusedCompletionLeavesNoPayload(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "one")}, {Batch: framed("s1", 1, "two")}}))
		entries := f.takeAll(t, c, "w1")
		completed := func(e broker.Entry, want broker.Outcome, payloads int) {
			t.Helper()
			done := f.whole([]broker.Entry{e})
			done[0].Outs[0].Batch = framed("s1", e.First, large(1))
			outcomes, err := c.Complete(t.Context(), done)
			if err != nil || outcomes[0] != want {
				t.Fatalf("completed %v, %v, want %v", outcomes, err, want)
			}
			if keys := c.Raw().Keys(t.Context(), c.Key("f:*")).Val(); len(keys) != payloads {
				t.Fatalf("%v: there are the payloads %q, want %d", want, keys, payloads)
			}
		}
		completed(entries[0], broker.Committed, 1)
		completed(entries[0], broker.Superseded, 1)
		if err := c.Raw().HSet(t.Context(), c.Key("m:b"), "inc", "another").Err(); err != nil {
			t.Fatal(err)
		}
		completed(entries[1], broker.OutputGone, 1)
	})
}

// A bypassed queue may have been deleted or replaced.
func TestBypassedQueueMustExist(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		between, _, err := c.Declare(t.Context(), broker.Queue{Name: "between"})
		if err != nil {
			t.Fatal(err)
		}
		scatterBatches(t, c, f, 1)
		done := f.whole(f.takeAll(t, c, "w1"))
		done[0].Bypassed = []broker.Bypassed{{Queue: between, N: 1, Items: 1}}
		if err := c.Delete(t.Context(), "between"); err != nil {
			t.Fatal(err)
		}
		if outcomes := must[[]broker.Outcome](t)(c.Complete(t.Context(), done)); outcomes[0] != broker.OutputGone {
			t.Errorf("completed %v", outcomes)
		}
		if in, out := queued(t, c, "a"), queued(t, c, "b"); len(in) != 1 || len(out) != 0 {
			t.Errorf("a has %q, b has %q", in, out)
		}
	})
}

// If a batch waits for room longer than its payload lives, the payload is written again.
func TestExpiredPayloadIsSentAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 1)
		parcels := []broker.Parcel{{Batch: framed("s1", 0, "one")}, {Batch: framed("s1", 1, large(1))}}
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, parcels))
		f.takeAll(t, c, "w1")
		if n := c.Raw().Del(t.Context(), c.Raw().Keys(t.Context(), c.Key("f:*")).Val()...).Val(); n != 1 {
			t.Fatalf("%d payloads waited", n)
		}
		got := must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, parcels))
		entries := f.takeAll(t, c, "w1")
		if got.Stored != 2 || len(entries) != 1 || entries[0].Lost != nil || !slices.Equal(texts(entries[0].Batch), []string{large(1)}) {
			t.Errorf("scattered %+v, there is %+v", got, entries)
		}
	})
}

// Requeue handles more entries than one call takes, and removes the consumer afterwards.
func TestRequeueTakesSeveralCalls(t *testing.T) {
	const n = several
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		parcels := make([]broker.Parcel, n)
		for i := range parcels {
			parcels[i].Batch = framed("s1", int64(i), strconv.Itoa(i))
		}
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, parcels))
		for taken := 0; taken < n; {
			taken += len(f.takeAll(t, c, "w1"))
		}
		if err := c.Die(t.Context(), "w1"); err != nil {
			t.Fatal(err)
		}
		var offsets []int64
		for back := f.takeAll(t, c, "w2"); len(back) > 0; back = f.takeAll(t, c, "w2") {
			for _, e := range back {
				offsets = append(offsets, e.First)
			}
		}
		if len(offsets) != n {
			t.Fatalf("%d entries come back of %d", len(offsets), n)
		}
		for i, offset := range offsets {
			if offset != int64(i) {
				t.Fatalf("the %dth that came back is %d", i, offset)
			}
		}
		consumers := c.Raw().XInfoConsumers(t.Context(), c.Key("q:a"), "w").Val()
		if len(consumers) > 1 {
			t.Errorf("consumers are left: %+v", consumers)
		}
	})
}

// Entries that a worker holds of any stage among many are requeued.
func TestEntriesOfManyStagesAreRequeued(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		const n = 120
		for i := range n {
			q := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: fmt.Sprint("q", i)})))
			s, _, err := c.Source(t.Context(), fmt.Sprint("s", i), q, 1)
			if err == nil {
				err = c.Stage(t.Context(), broker.Stage{ID: fmt.Sprint("s", i), Kind: broker.KindFuture, Function: "up", Ins: []broker.Queue{q}})
			}
			if err == nil {
				_, err = c.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: framed(s.Name, 0, "item")}})
			}
			if err == nil {
				_, err = c.Take(t.Context(), "w1", 1, 0, []broker.Route{{In: q.Name}})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Die(t.Context(), "w1"); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			back := must[[]broker.Taken](t)(c.Take(t.Context(), "w2", 1, 0, []broker.Route{{In: fmt.Sprint("q", i)}}))
			if len(back[0].Entries) != 1 || back[0].Entries[0].Crashes != 1 {
				t.Fatalf("of stage %d of %d comes back %+v", i, n, back[0].Entries)
			}
		}
	})
}

// A process is alive if it sends a heartbeat between the watcher's look and its verdict.
func TestNewHeartbeatPreventsFence(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		makeFlow(t, c, 0)
		seen := c.Raw().ZScore(t.Context(), c.Key("workers"), "w1").Val()
		l := c.Lease(broker.RoleWorker, "w1", time.Minute)
		for fmt.Sprint(c.Raw().ZScore(t.Context(), c.Key("workers"), "w1").Val()) == fmt.Sprint(seen) {
			must[broker.HeartbeatReply](t)(l.Beat(t.Context()))
		}
		watcher := c.Lease(broker.RoleExecutor, "x1", time.Minute)
		if err := watcher.Fence(t.Context(), broker.RoleWorker, "w1", strconv.FormatFloat(seen, 'f', -1, 64)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Beat(t.Context()); err != nil {
			t.Errorf("it is declared dead: %v", err)
		}
	})
}

// An entry of a foreign program, without the counted fields, does not block other entries.
func TestForeignEntryIsNotCounted(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 10)
		if err := c.Raw().Do(t.Context(), "XADD", c.Key("q:a"), "*", "hello", "world").Err(); err != nil {
			t.Fatal(err)
		}
		got := must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "one")}}))
		if backlog := must[broker.Backlog](t)(c.Waiting(t.Context(), "a")); got.Stored != 1 || backlog.Items != 1 {
			t.Errorf("scattered %+v, there is %+v", got, backlog)
		}
	})
}

// An acknowledgement that was abandoned and arrives after a later one does not move the mark back.
func TestLateAckHasNoEffect(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g", "x1", "b"))
		mark := func(g broker.Gather, to string, low int64) {
			t.Helper()
			marks := []broker.Mark{{Source: f.source.Name, Delivered: to, Low: low}}
			if _, err := c.Ack(t.Context(), g, nil, marks, 0, func(string) string { return "a" }); err != nil {
				t.Fatal(err)
			}
		}
		mark(g, "3", 3)
		mark(g, "5", 5)
		mark(g.Late(), "3", 3)
		if at := c.Raw().HGet(t.Context(), c.Key("d:b"), f.source.Name).Val(); at != "5" {
			t.Errorf("the mark is %s", at)
		}
		if err := c.Release(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		next := must[broker.Gather](t)(c.Consume(t.Context(), "g2", "x1", "b"))
		mark(next, "7", 7)
		if at := next.Delivered()[f.source.Name]; at != "5" {
			t.Errorf("the next gather begins at %s", at)
		}
		if at := c.Raw().HGet(t.Context(), c.Key("d:b"), f.source.Name).Val(); at != "7" {
			t.Errorf("the next gather has the mark at %s", at)
		}
	})
}
