package broker_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// several is more than two pages of every paged operation.
const several = 1100

// A full page, or one without matches, does not end an audit, a requeue, a retry or an inheritance.
func TestAllPagesAreRead(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, several)
		stray(t, c, "q:a")
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "dead", "b"))
		look := func(offset int64) broker.Found {
			t.Helper()
			seen := must[broker.Audit](t)(c.Audit(t.Context(), g, []broker.Path{{Queue: "a"}}, []broker.Gap{{Source: "s1", Offset: offset}}))
			return seen.Found["s1"]
		}
		if last := look(several - 1); last.First != several-1 || !last.Stray {
			t.Fatalf("the last item is seen as %+v", last)
		}
		if n := must[int64](t)(c.RequeueStray(t.Context(), g, look(0))); n != several {
			t.Fatalf("%d entries in nobody's hands are put back of %d", n, several)
		}
		var done []broker.Completion
		for _, e := range drained(t, c, f, several) {
			done = append(done, broker.Completion{Entry: e, In: f.a, Remainders: []broker.Remainder{{Batch: e.Batch, Attempts: 1, Delay: time.Hour}}})
		}
		must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
		due := c.Key("due")
		for _, member := range c.Raw().ZRange(t.Context(), due, 0, -1).Val() {
			c.Raw().ZAdd(t.Context(), due, redis.Z{Score: 1, Member: member})
		}
		if err := c.RequeueDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(drained(t, c, f, several))))
		r := c.Reader(g.ID, time.Second)
		defer r.Close()
		if read, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 2*several, 0); err != nil || len(read) != several {
			t.Fatalf("the gather reads %d, %v", len(read), err)
		}
		g = must[broker.Gather](t)(c.Consume(t.Context(), "g2", "dead", "b"))
		if left := must[[]broker.Entry](t)(c.Inherit(t.Context(), g)); len(left) != several {
			t.Errorf("its heir is handed %d of %d", len(left), several)
		}
	})
}

// stray reads all waiting entries of a stream as a consumer that is then deleted.
func stray(t *testing.T, c *broker.Client, stream string) {
	t.Helper()
	err := c.Raw().XReadGroup(t.Context(), &redis.XReadGroupArgs{
		Group: "w", Consumer: "stranger", Streams: []string{c.Key(stream), ">"}, Count: 2 * several, Block: -1,
	}).Err()
	if err == nil {
		err = c.Raw().XGroupDelConsumer(t.Context(), c.Key(stream), "w", "stranger").Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// drained returns all entries available to a worker, which must be n.
func drained(t *testing.T, c *broker.Client, f flow, n int) (all []broker.Entry) {
	t.Helper()
	for more := f.takeAll(t, c, "w1"); len(more) > 0; more = f.takeAll(t, c, "w1") {
		all = append(all, more...)
	}
	if len(all) != n {
		t.Fatalf("a worker finds %d entries of %d", len(all), n)
	}
	return all
}
