package broker_test

import (
	"fmt"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// FinishAgain stores the ends of many sources. A source that is gone, fenced or replaced by a
// foreign key does not affect the others.
func TestFinishAgainStoresManyEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		const n = 40
		raw := c.Raw()
		q := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "q"})))
		var ends []broker.End
		for i := range n {
			s, _, err := c.Source(t.Context(), fmt.Sprint("s", i), q, 0)
			if err == nil {
				_, err = c.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: framed(s.Name, 0, "item")}})
			}
			if err == nil {
				err = c.Finish(t.Context(), s, 1)
			}
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, broker.End{Source: s, At: 1})
			raw.HSet(t.Context(), c.Key("s:"+s.Name), "end", -1) // as before a failover
		}
		raw.Del(t.Context(), c.Key("s:s0"), c.Key("s:s1"))
		raw.Set(t.Context(), c.Key("s:s1"), "a stranger's", 0)
		raw.HIncrBy(t.Context(), c.Key("s:s2"), "epoch", 1)
		for range 2 {
			if err := c.FinishAgain(t.Context(), ends); err != nil {
				t.Fatal(err)
			}
		}
		for i := 2; i < n; i++ {
			want := "1"
			if i == 2 {
				want = "-1"
			}
			if end := raw.HGet(t.Context(), c.Key(fmt.Sprint("s:s", i)), "end").Val(); end != want {
				t.Errorf("the end of source %d is %s", i, end)
			}
		}
	})
}
