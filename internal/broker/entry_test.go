package broker_test

import (
	"testing"
	"time"

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
