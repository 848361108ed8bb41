package broker_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Delivery counts are kept until the item is acknowledged, also for a successor. A dead letter is
// made once, and only the gather of the current epoch may write.
func TestDeliveriesAreKeptUntilAcknowledged(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		if err := c.Join(t.Context(), broker.RoleExecutor, "x", nil); err != nil {
			t.Fatal(err)
		}
		q := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "q"})))
		if _, _, err := c.Source(t.Context(), "s", q, 0); err != nil {
			t.Fatal(err)
		}
		old := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x", "q"))
		item := func(at, deliveries int64) broker.Nacked {
			return broker.Nacked{Item: broker.Item{Source: "s", Offset: at}, Deliveries: deliveries}
		}
		dead := item(7, 3)
		dead.Dead, dead.Frame = &batch.Failure{Code: batch.CodeRejected, Message: "why"}, []byte{batch.Version, 2, 'x'}
		many := []broker.Nacked{item(1, 1), item(2, 5), dead}
		for range 2 { // the first reply was lost
			if err := c.Nack(t.Context(), old, many); err != nil {
				t.Fatal(err)
			}
		}
		letters, err := c.Dead(t.Context(), "", 10)
		if err != nil || len(letters) != 1 || letters[0].Entry.First != 7 || letters[0].Entry.Attempts != 3 || letters[0].Why.Message != "why" || letters[0].Entry.Check() != nil {
			t.Errorf("the dead letters are %+v, %v", letters, err)
		}
		if err := c.Release(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g2", "x", "q"))
		if want := map[broker.Item]int64{many[0].Item: 1, many[1].Item: 5, dead.Item: -3}; !maps.Equal(g.Nacked(), want) {
			t.Errorf("the successor finds %v", g.Nacked())
		}
		if err := c.Nack(t.Context(), old, many); !errors.Is(err, broker.ErrFenced) {
			t.Errorf("the old gather gets %v", err)
		}
		mark := broker.Mark{Source: "s", Delivered: "8", Low: 8, Settled: []broker.Item{{Source: "s", Offset: 1}, {Source: "s", Offset: 2}, {Source: "s", Offset: 7}}}
		if _, err := c.Ack(t.Context(), g, nil, []broker.Mark{mark}, 0, func(string) string { return "q" }); err != nil {
			t.Fatal(err)
		}
		if n := c.Raw().Exists(t.Context(), c.Key("nacked:q")).Val(); n != 0 {
			t.Error("deliveries of acknowledged items are kept")
		}
		if err := errors.Join(c.Nack(t.Context(), g, many[:1]), c.Delete(t.Context(), "q")); err != nil {
			t.Fatal(err)
		}
		if err := c.Nack(t.Context(), g, many); !errors.Is(err, broker.ErrQueueNotFound) {
			t.Errorf("the gather of a deleted queue gets %v", err)
		}
		if n := c.Raw().Exists(t.Context(), c.Key("nacked:q")).Val(); n != 0 {
			t.Error("a deleted queue leaves deliveries")
		}
	})
}
