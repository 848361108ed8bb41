package consumer

import (
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// Another program adds invalid entries before and behind the valid ones. They become dead letters,
// and the stream is unchanged.
func TestForgedEntriesBecomeDeadLetters(t *testing.T) {
	forged := [][]any{
		{"hello", "world"},
		{"s", "s", "o", 0, "n", 0, "p", "\x01"},
		{"s", "s", "o", -1, "n", 1, "p", "\x01\x021"},
		{"s", "s", "o", 0, "n", -5, "p", "\x01\x021"},
		{"s", "s", "o", "9223372036854775807", "n", 1, "p", "\x01\x021"},
		{"s", "s", "o", "first", "n", "many", "p", "\x01"},
		{"s", "nobody", "o", 0, "n", 1, "p", "\x01\x021"},
		{"s", "", "o", 0, "n", 1, "p", "\x01\x021"},
		{"s", "s~~", "o", 0, "n", 1, "p", "\x01\x021"},
		{"s", "s", "o", 10, "n", "1000000000000", "p", "\x01"},
		{"s", "s", "o", 10, "n", "1000000000000", "e", "{}"},
		{"s", "s", "o", 10, "n", "1000000000000", "f", "nowhere"},
		{"s", "s", "o", "1000000000000", "n", 1, "p", "\x01\x021"},
		{"n", 1},
	}
	for _, unordered := range []bool{false, true} {
		brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
			t.Helper()
			l := newLine(t, w)
			l.unordered = unordered
			forge := func() {
				for _, values := range forged {
					l.must(t, l.Raw.XAdd(t.Context(), &redis.XAddArgs{Stream: l.Key("q:b"), Values: values}).Err())
				}
			}
			forge()
			l.work(t)
			testkit.Eventually(t, func() bool { return len(l.ids(t, "q:b")) == 4+len(forged) }, "the worker has completed all entries")
			forge()
			r := receive(t, w, "b", ReceiverOptions{Unordered: unordered})
			got := r.all(t)["s"]
			if err := r.ended(t); err != nil {
				t.Error(err)
			}
			l.compare(t, got, nil)
			letters, err := l.C.Dead(t.Context(), "", 100)
			if err != nil || len(letters) != 2*len(forged) || len(l.ids(t, "q:b")) != 0 {
				t.Errorf("%d of %d are dead letters, %v; in the queue stay %q", len(letters), 2*len(forged), err, l.ids(t, "q:b"))
			}
		})
	}
}

// A frame that cannot be decoded becomes a failure for each item that it should have.
func TestMalformedFrameBecomesFailures(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		l := newLine(t, w)
		l.work(t)
		testkit.Eventually(t, func() bool { return len(l.ids(t, "q:b")) == 4 }, "the worker has completed all entries")
		l.must(t, l.Raw.XDel(t.Context(), l.Key("q:b"), l.ids(t, "q:b")[1]).Err())
		l.must(t, l.Raw.XAdd(t.Context(), &redis.XAddArgs{Stream: l.Key("q:b"), Values: []any{"s", "s", "o", 5, "n", 5, "p", "\x01\x021"}}).Err())
		r := receive(t, w, "b", ReceiverOptions{})
		got := r.all(t)["s"]
		if err := r.ended(t); err != nil || len(got) != 20 || !slices.Equal(slices.Concat(got[:5], got[10:]), slices.Concat(brokertest.Offsets(0, 5), brokertest.Offsets(10, 20))) {
			t.Errorf("received %q, %v", got, err)
		}
	})
}
