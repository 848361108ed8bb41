package executor

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// With any content of a mailbox, a hint makes the mailbox look for the futures that it names and
// for no others. No number in a hint makes it cost more.
func FuzzHints(f *testing.F) {
	for _, seed := range []string{
		"", "s", "s 0", "s 0 3", "s 2 1 9", "s -1 4", "s 0 -1", "t 0 3", "s\n0\n2", "s 0x1 0b11", "s 0 9223372036854775807", "s 9223372036854775807 2",
		"s -9223372036854775808 9223372036854775807", "s 99999999999999999999 1", "\xff \x00", strings.Repeat("s ", 1<<10),
	} {
		f.Add(broker.HintDone, seed, int64(0), int64(3), uint8(5))
	}
	f.Add(broker.HintDone, "s 0 1", int64(math.MinInt64), int64(1), uint8(2))
	f.Add(broker.HintDone, "s 0 1", int64(-1), int64(math.MaxInt64), uint8(2))
	f.Add(broker.HintRoom, "", int64(3), int64(4), uint8(5))
	f.Add("another", "s 0 1", int64(-2), int64(4), uint8(0))
	f.Fuzz(func(t *testing.T, kind, what string, first, n int64, waiting uint8) {
		h := newMailbox(nil, "x", nil)
		wake := h.addSender()
		h.expect(&submitter{queues: []string{"q"}}, "s", 0, int(waiting))
		hint := broker.Hint{Kind: kind, What: what}
		// As workers write it, and that of a stranger in front of it, many times.
		real := broker.Hint{Kind: broker.HintDone, What: fmt.Sprintf("%s %d %d", "s", first, n)}
		ids := h.hintedFutures(append(slices.Repeat([]broker.Hint{hint}, 20), real))
		if len(ids) > int(waiting) {
			t.Fatalf("%q names %d futures where %d are waited for", what, len(ids), waiting)
		}
		named := map[string]bool{}
		for _, id := range ids {
			if named[id] = true; h.futures[id] == nil {
				t.Fatalf("%q names %s, for which nobody waits", what, id)
			}
		}
		for i := range int64(waiting) {
			id := broker.FutureID("s", i)
			if told := i >= first && uint64(i)-uint64(first) < uint64(max(n, 0)); told && !named[id] {
				t.Fatalf("%q behind %q names %q and not %s", real.What, what, ids, id)
			}
		}
		if got := h.hintedFutures(nil); len(got) != int(waiting) {
			t.Fatalf("without a hint it looks for %q", got)
		}
		if kind == broker.HintDone {
			return
		}
		if err := h.handleHints(t.Context(), []broker.Hint{hint}); err != nil { // it has no connection to use
			t.Fatal(err)
		}
		if len(wake) != map[bool]int{true: 1}[kind == broker.HintRoom] {
			t.Fatalf("%q wakes %d senders", kind, len(wake))
		}
	})
}
