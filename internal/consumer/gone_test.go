package consumer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// Whichever key of a queue is deleted under its gather, as an eviction does it: the
// gather neither waits nor reads again for ever, and it does not end as if all had come.
func TestAKeyThatIsGoneIsTold(t *testing.T) {
	for what, gone := range map[string][]string{
		"stream": {"q:q"}, "meta": {"m:q"}, "source": {"s:s"}, "all": {"q:q", "r:q", "m:q", "s:s", "src:q", "watch:q", "wait:q", "queues"},
	} {
		t.Run(what, func(t *testing.T) {
			brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
				t.Helper()
				q := w.Queue(t, broker.Queue{Name: "q"})
				s, r := sender(t, w, "s", q), receive(t, w, "q", ReceiverOptions{})
				if err := s.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 0, 3)}); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					r.item(t)
					r.Delivered(1)
				}
				for _, key := range gone {
					if err := w.Raw.Del(t.Context(), w.Key(key)).Err(); err != nil {
						t.Fatal(err)
					}
				}
				told := errors.Join(s.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 3, 6)}), s.Finish(t.Context(), 6))
				if err := w.C.Seal(t.Context(), "q"); err != nil && !errors.Is(err, broker.ErrQueueNotFound) {
					t.Fatal(err)
				}
				got := r.all(t)["s"]
				lost := slices.ContainsFunc(got, func(text string) bool { return strings.HasPrefix(text, "failed: ") })
				if err := r.ended(t); err == nil && !lost && told == nil {
					t.Errorf("it ends behind %q, and the sender with %v", got, told)
				}
			})
		})
	}
}
