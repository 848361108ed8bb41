package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// Workers and gathers of a permanent queue come and go, and some of them die. Their consumer names
// are removed.
func TestConsumerNamesDoNotPileUp(t *testing.T) {
	const rounds = 20
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f, sent := makeFlow(t, c, 0), int64(0)
		for i := range rounds {
			f.send(t, c, &sent)
			worker := fmt.Sprint("worker", i)
			held := f.takeAll(t, c, worker)
			must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(held[:1])))
			end := func() error { return c.GiveBack(t.Context(), worker, "a") }
			if i%2 == 1 { // every second worker has died
				end = func() error { return c.Requeue(t.Context(), worker) }
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			g := must[broker.Gather](t)(c.Consume(t.Context(), fmt.Sprint("gather", i), "dead", "b"))
			left := must[[]broker.Entry](t)(c.Inherit(t.Context(), g))
			if _, err := c.Watch(t.Context(), g, broker.Path{Queue: "a"}, "0"); err != nil {
				t.Fatal(err)
			}
			r := c.Reader(g.ID, time.Second)
			read, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 10, 0)
			if err == nil {
				err = r.Close()
			}
			if err == nil {
				_, err = c.Ack(t.Context(), g, left, nil, 0, func(string) string { return "a" })
			}
			if err == nil && i%3 > 0 { // every third gather dies with the entries that it has read
				_, err = c.Ack(t.Context(), g, read, nil, 0, func(string) string { return "a" })
				if err == nil {
					err = c.Release(t.Context(), g)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if told := c.Raw().SMembers(t.Context(), c.Key("watch:a")).Val(); len(told) > 1 {
			t.Errorf("%d gathers are told after %d rounds: %v", len(told), rounds, told)
		}
		for _, stream := range []string{"q:a", "r:a", "x:a", "q:b"} {
			if names := c.Raw().XInfoConsumers(t.Context(), c.Key(stream), "w").Val(); len(names) > 2 {
				t.Errorf("%s has %d consumers after %d rounds: %v", stream, len(names), rounds, names)
			}
		}
	})
}
