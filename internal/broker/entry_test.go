package broker_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A retry has the id of the worker whose attempt failed, until that worker requeues it.
func TestRetryNamesFailedWorker(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 1)
		e := f.takeAll(t, c, "w1")[0]
		if e.Failed != "" {
			t.Errorf("before an attempt failed: %q", e.Failed)
		}
		complete := func(e broker.Entry, delay time.Duration) {
			t.Helper()
			rest := broker.Remainder{Batch: e.Batch, Attempts: 1, Delay: delay}
			got := must[[]broker.Outcome](t)(c.Complete(t.Context(), []broker.Completion{{Entry: e, In: f.a, Remainders: []broker.Remainder{rest}}}))
			if got[0] != broker.Committed {
				t.Fatal(got)
			}
		}
		complete(e, time.Millisecond)
		var back []broker.Entry
		testkit.Eventually(t, func() bool {
			if err := c.RequeueDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			back = f.takeAll(t, c, "w2")
			return len(back) == 1
		}, "the retry is due")
		if back[0].Failed != "w1" || back[0].Attempts != 1 {
			t.Errorf("the retry: %+v", back[0])
		}
		complete(back[0], 0)
		if again := f.takeAll(t, c, "w1"); len(again) != 1 || again[0].Failed != "" || again[0].Attempts != 1 {
			t.Errorf("after it was put back: %+v", again)
		}
	})
}

// The stamp of a batch names the time and the trace of its scatter, in each later queue, after a
// retry and in a dead letter.
func TestStampStaysWithTheItems(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		parcels := []broker.Parcel{{Batch: framed("s1", 0, "one", "two"), Trace: "00-aa-bb-01"}, {Batch: framed("s1", 2, "three")}}
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, parcels))
		taken := f.takeAll(t, c, "w1")
		first, second := taken[0], taken[1]
		if age := c.Now().Sub(first.Scattered()); age < -time.Second || age > time.Minute || first.Trace() != "00-aa-bb-01" || second.Trace() != "" {
			t.Fatalf("the stamps are %q, %v old, and %q", first.Stamp, age, second.Stamp)
		}
		head, tail, err := first.Split(1)
		if err != nil {
			t.Fatal(err)
		}
		bury := batch.Failure{Message: "why"}
		must[[]broker.Outcome](t)(c.Complete(t.Context(), []broker.Completion{
			{Entry: first, In: f.a, Outs: []broker.Output{{Queue: f.b, Batch: head}}, Remainders: []broker.Remainder{{Batch: tail, Delay: time.Nanosecond}}},
			{Entry: second, In: f.a, Dead: &bury},
		}))
		back, out := f.takeAll(t, c, "w1"), must[[]broker.Taken](t)(c.Take(t.Context(), "w1", 9, 1, []broker.Route{{In: "b"}}))[0].Entries
		if len(back) != 1 || back[0].Stamp != first.Stamp || len(out) != 1 || out[0].Stamp != first.Stamp {
			t.Errorf("the remainder is %+v, the result %+v", back, out)
		}
		if letters := must[[]broker.DeadLetter](t)(c.Dead(t.Context(), "", 9)); len(letters) != 1 || letters[0].Entry.Stamp != second.Stamp {
			t.Errorf("the dead letter is %+v", letters)
		}
	})
}

// An entry without a stamp, of an older writer, counts as scattered when it was added.
func TestEntryWithoutStampHasTheTimeOfItsID(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		values := []any{"s", "s1", "o", 0, "n", 1, "c", 0, "b", 0, "a", 0, "k", 0, "p", framed("s1", 0, "one").Frame}
		must[string](t)(c.Raw().XAdd(t.Context(), &redis.XAddArgs{Stream: c.Key("q:a"), ID: "1764446400000-3", Values: values}).Result())
		c.Raw().HSet(t.Context(), c.Key("m:a"), "items", 1)
		want := time.UnixMilli(1764446400000)
		if found := must[[]broker.Contents](t)(c.Contents(t.Context(), []string{"a"})); !found[0].Scattered.Equal(want) {
			t.Errorf("the queue has an entry of %v", found[0].Scattered)
		}
		must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(f.takeAll(t, c, "w1"))))
		out := must[[]broker.Contents](t)(c.Contents(t.Context(), []string{"a", "b"}))
		if !out[0].Scattered.IsZero() || !out[1].Scattered.Equal(want) || !out[1].Oldest.After(want.Add(time.Hour)) {
			t.Errorf("in the next queue: %+v", out)
		}
	})
}
