package broker_test

import (
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

func TestActsAreNoted(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		if acts, err := c.Acts(t.Context(), 10); len(acts) != 0 || err != nil {
			t.Errorf("at first %v, %v", acts, err)
		}
		for _, object := range []string{"queue a", "queue b", "queue c"} {
			if err := c.Note(t.Context(), broker.Act{By: "ann", Verb: "purge", Object: object, Count: 7, Reason: "test"}); err != nil {
				t.Fatal(err)
			}
		}
		acts := must[[]broker.Act](t)(c.Acts(t.Context(), 2))
		if len(acts) != 2 || acts[0].At.IsZero() || acts[1].Object != "queue b" {
			t.Fatalf("the last two acts are %+v", acts)
		}
		acts[0].At = acts[1].At
		if want := (broker.Act{At: acts[1].At, By: "ann", Verb: "purge", Object: "queue c", Count: 7, Reason: "test"}); acts[0] != want {
			t.Errorf("the last act is %+v", acts[0])
		}
	})
}
