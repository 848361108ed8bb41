package consumer

import (
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// setBack lets the group of a stream read it from its beginning: what is in
// somebody's hands comes to others too.
func (l line) setBack(t *testing.T, stream string) {
	t.Helper()
	l.must(t, l.Raw.XGroupSetID(t.Context(), l.Key(stream), "w", "0").Err())
}

// anew deletes the group, with all that is pending, and makes it again.
func (l line) anew(t *testing.T, stream string) {
	t.Helper()
	l.must(t, l.Raw.XGroupDestroy(t.Context(), l.Key(stream), "w").Err())
	l.must(t, l.Raw.XGroupCreate(t.Context(), l.Key(stream), "w", "0").Err())
}

// A stranger sets the groups back while a worker and the gather hold something:
// each item is handed on once, and who is late with his result is beaten.
func TestGroupsThatAreSetBackDoubleNothing(t *testing.T) {
	for what, back := range map[string]func(l line, t *testing.T, stream string){"set back": line.setBack, "made anew": line.anew} {
		t.Run(what, func(t *testing.T) {
			brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
				t.Helper()
				l := newLine(t, w)
				l.must(t, l.C.Join(t.Context(), broker.RoleWorker, "w1", nil))
				held, err := l.C.Take(t.Context(), "w1", 2, 1, []broker.Route{{In: "a", Outs: []string{"b"}}})
				l.must(t, err)
				back(l, t, "q:a")
				l.work(t)
				testkit.Eventually(t, func() bool { return len(l.ids(t, "q:b")) == 4 && len(l.ids(t, "q:a")) == 0 }, "others do all of it")
				for _, e := range held[0].Entries {
					outcomes, err := l.C.Complete(t.Context(), []broker.Completion{{Entry: e, In: l.a, Outs: []broker.Output{{Queue: l.b, Batch: e.Batch}}}})
					if err != nil || outcomes[0] != broker.Superseded {
						t.Errorf("who held an entry completes it: %v, %v", outcomes, err)
					}
				}
				r := receive(t, w, "b", ReceiverOptions{})
				_, first := r.item(t)
				r.Delivered(1)
				back(l, t, "q:b")
				got := append([]string{first}, r.all(t)["s"]...)
				if err := r.ended(t); err != nil || !slices.Equal(got, brokertest.Offsets(0, 20)) {
					t.Errorf("received %q, %v", got, err)
				}
				if left := append(l.ids(t, "q:a"), l.ids(t, "q:b")...); len(held[0].Entries) != 2 || len(left) > 0 {
					t.Errorf("of %d entries that were held, %v are left", len(held[0].Entries), left)
				}
			})
		})
	}
}
