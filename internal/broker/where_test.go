package broker_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// Entries of two streams of a queue may have the same id: an unread item is not delayed because a
// delayed one has the id of its entry.
func TestFoundItemIsNotThatOfAnotherStream(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		raw := c.Raw()
		q := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "q"})))
		s, _, err := c.Source(t.Context(), "s", q, 0)
		if err == nil {
			_, err = c.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s", 0, "item")}})
		}
		if err != nil {
			t.Fatal(err)
		}
		id := raw.XRange(t.Context(), c.Key("q:q"), "-", "+").Val()[0].ID
		due := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		entry := []any{"s", "s", "o", 7, "n", 1, "c", 0, "b", 0, "a", 1, "k", 0, "p", framed("s", 0, "item").Frame}
		if err := raw.XAdd(t.Context(), &redis.XAddArgs{Stream: c.Key("l:q"), ID: id, Values: entry}).Err(); err != nil {
			t.Fatal(err)
		}
		raw.ZAdd(t.Context(), c.Key("due"), redis.Z{Score: float64(due.UnixMilli()), Member: "q " + id})
		for offset, want := range map[int64]time.Time{0: {}, 7: due} {
			got, found, err := c.FindItem(t.Context(), "q", "", "s", offset)
			if err != nil || !found || got.Entry.ID != id || !got.Due.Equal(want) {
				t.Errorf("item %d is %+v, %v, %v, and due at %v", offset, got, found, err, want)
			}
		}
	})
}
