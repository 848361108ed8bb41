package broker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// A failover loses the tail of a source, or only its end. The end is stored again, and the items
// missing before it become failures.
func TestLostEndIsStoredAgain(t *testing.T) {
	for what, left := range map[string]int64{"its end": 3, "its tail": 1, "all of it": 0} {
		t.Run(what, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *broker.Client) {
				t.Helper()
				f := makeFlow(t, c, 0)
				must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", 0, []broker.Parcel{
					{Batch: framed("s1", 0, "one")}, {Batch: framed("s1", 1, "two", "three")},
				}))
				if err := c.Finish(t.Context(), f.source, 3); err != nil {
					t.Fatal(err)
				}
				raw := c.Raw()
				entries := raw.XRange(t.Context(), c.Key("q:a"), "-", "+").Val()
				raw.HSet(t.Context(), c.Key("s:s1"), "stored", left, "end", -1)
				for i, first := range []int64{0, 1} {
					if first >= left {
						raw.XDel(t.Context(), c.Key("q:a"), entries[i].ID)
					}
				}
				for range 2 {
					if err := c.Finish(t.Context(), f.source, 3); err != nil {
						t.Fatal(err)
					}
				}
				if stored := raw.HMGet(t.Context(), c.Key("s:s1"), "stored", "end").Val(); stored[0] != "3" || stored[1] != "3" {
					t.Errorf("stored and end are %v", stored)
				}
				at := int64(0)
				for _, e := range f.takeAll(t, c, "w1") {
					if e.First != at || (e.Lost != nil) != (at >= left) || e.Lost != nil && e.Lost.Code != batch.CodeLost {
						t.Errorf("at %d comes %+v", at, e.Batch)
					}
					at = e.End()
				}
				if at != 3 {
					t.Errorf("%d items come", at)
				}
				if err := c.Finish(t.Context(), f.source, 2); !errors.Is(err, broker.ErrFenced) {
					t.Errorf("it ends before its last item: %v", err)
				}
			})
		})
	}
}

// A failing hook makes an unrelated call fail.
type failing struct {
	redis.Hook
	fail func()
}

func (failing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		f.fail()
		return next(ctx, cmd)
	}
}

// A source that is gone was either ended by an earlier attempt of the same call, or not ended. The
// failure of another call does not decide that.
func TestFinishOfDeletedSourceFails(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		if err := c.Raw().Del(t.Context(), c.Key("s:s1")).Err(); err != nil {
			t.Fatal(err)
		}
		c.Raw().AddHook(failing{fail: c.CountFailure})
		if err := c.Finish(t.Context(), f.source, 3); !errors.Is(err, broker.ErrQueueNotFound) {
			t.Errorf("a source that is gone ends with %v", err)
		}
	})
}
