package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A look that comes late, as after an outage or a jump of the clock, deletes nothing: the processes could
// not use the queue until then. A look in time deletes it.
func TestLateLookBeginsAnew(t *testing.T) {
	for name, late := range map[string]time.Duration{"outage": 10 * time.Minute, "clock set back": -10 * time.Minute, "in time": 0} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *broker.Client) {
				t.Helper()
				if _, _, err := c.Declare(t.Context(), broker.Queue{Name: "a", Codec: "raw", Type: "string", Expires: time.Minute}); err != nil {
					t.Fatal(err)
				}
				if gone := must[[]string](t)(c.Expire(t.Context(), "a")); len(gone) > 0 {
					t.Fatalf("%q expired at the first look", gone)
				}
				now := c.Raw().Time(t.Context()).Val()
				_, state, _ := strings.Cut(c.Raw().HGet(t.Context(), c.Key("m:a"), "unused").Val(), " ")
				since := fmt.Sprint(now.Add(-5*time.Minute).UnixMilli(), " ", state)
				c.Raw().HSet(t.Context(), c.Key("m:a"), "unused", since)
				c.Raw().ZAdd(t.Context(), c.Key("expiring"), redis.Z{Score: float64(now.Add(-late).UnixMilli()), Member: "a"})
				want := []string{"a"}
				if late != 0 {
					want = nil
				}
				if gone := must[[]string](t)(c.Expire(t.Context(), "a")); !slices.Equal(gone, want) {
					t.Errorf("expired are %q, not %q", gone, want)
				}
			})
		})
	}
}
