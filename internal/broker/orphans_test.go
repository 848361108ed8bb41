package broker_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A payload that no entry has is found. One that an entry of any stream has is not, and neither is one with a
// lifetime, which may be that of a batch that is being added.
func TestOrphansHaveNoEntryAndNoLifetime(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		var parcels []broker.Parcel
		for i := range int64(20) {
			parcels = append(parcels, broker.Parcel{Batch: framed("s1", i, large(int(i)))})
		}
		if _, err := c.Scatter(t.Context(), f.source, "x1", broker.Window{}, parcels); err != nil {
			t.Fatal(err)
		}
		taken := must[[]broker.Taken](t)(c.Take(t.Context(), "w1", 3, 1, f.routes()))
		if len(taken[0].Entries) != 3 {
			t.Fatalf("%d entries are running", len(taken[0].Entries))
		}
		raw := c.Raw()
		moved := must[[]string](t)(payloadsIn(t, c, "q:a"))[10:]
		for i, stream := range []string{"r:a", "x:a", "l:a", "dead"} {
			if err := raw.Do(t.Context(), "XADD", c.Key(stream), "*", "s", "s1", "f", moved[i]).Err(); err != nil {
				t.Fatal(err)
			}
		}
		entries := raw.XRange(t.Context(), c.Key("q:a"), "-", "+").Val()
		for _, entry := range entries[10:14] {
			raw.XDel(t.Context(), c.Key("q:a"), entry.ID)
		}
		uploaded := c.Key("f:uploaded.5000")
		orphan := c.Key("f:orphan.5000")
		raw.Set(t.Context(), uploaded, large(0), time.Hour)
		for range 5 {
			o := must[broker.Orphans](t)(c.Orphans(t.Context(), 300, 0))
			if len(o.Keys) > 0 || o.Entries > 0 {
				t.Fatalf("nothing is planted: %+v", o)
			}
		}
		raw.Set(t.Context(), orphan, large(0), 0)
		testkit.Eventually(t, func() bool {
			o := must[broker.Orphans](t)(c.Orphans(t.Context(), 300, 0))
			return slices.Equal(o.Keys, []string{orphan})
		}, "the orphan is in a sample, alone")
		raw.Expire(t.Context(), orphan, time.Hour)
		for range 5 {
			if o := must[broker.Orphans](t)(c.Orphans(t.Context(), 300, 0)); len(o.Keys) > 0 {
				t.Fatalf("it got a lifetime: %+v", o)
			}
		}
	})
}

// payloadsIn returns the payloads of the entries of a stream.
func payloadsIn(t *testing.T, c *broker.Client, stream string) (ids []string, err error) {
	t.Helper()
	entries, err := c.Raw().XRange(t.Context(), c.Key(stream), "-", "+").Result()
	for _, entry := range entries {
		ids = append(ids, fmt.Sprint(entry.Values["f"]))
	}
	return ids, err
}

// Of many payloads only a sample is looked at.
func TestOrphansLooksAtASample(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		for i := range 1000 {
			c.Raw().Set(t.Context(), c.Key(fmt.Sprint("f:", i)), "", 0)
		}
		testkit.Eventually(t, func() bool {
			o := must[broker.Orphans](t)(c.Orphans(t.Context(), 50, 0))
			return o.Sampled == 50 && len(o.Keys) == 50
		}, "it has a whole sample")
	})
}

// The processor time of the main thread grows with the commands that a server runs.
func TestServerReportsProcessorTime(t *testing.T) {
	t.Parallel()
	c, err := broker.Open(testkit.SharedRedis(t).URL(), broker.Options{})
	opened(t, c, err)
	before := must[broker.Server](t)(c.Server(t.Context()))
	if before.Run == "" || before.Address == "" {
		t.Errorf("the server is %+v", before)
	}
	testkit.Eventually(t, func() bool {
		c.Raw().Eval(t.Context(), "for i = 1, 1000000 do end", nil)
		return must[broker.Server](t)(c.Server(t.Context())).MainCPU > before.MainCPU
	}, "the server has worked")
}
