package worker

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

func TestMessagesAreGrouped(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"order 17 has no address", "Order 4711 has no address", "order 17 has no address\nsecond line"},
		{"no row 3f2504e0-4f89-11d3-9a0c-0305e82c3301", "no row 00000000-0000-0000-0000-000000000000"},
		{"hash deadbeef01 differs", "hash 0123456789abcdef differs", "hash 0x1f differs", "hash 77 differs"},
		{`user "ann" is unknown`, `user "bob \"the\" b" is unknown`, `user "" is unknown`},
		{"key 'a' is missing", "key 'b c' is missing"},
		{"took 1.5 s at 10.0.0.1:6379", "took 22.75 s at 192.168.1.2:80"},
		{strings.Repeat("x", 300) + "a", strings.Repeat("x", 300) + "b"},
	} {
		for _, message := range same[1:] {
			if groupKey("error", message) != groupKey("error", same[0]) {
				t.Errorf("%q and %q are in two groups", same[0], message)
			}
		}
	}
	distinct := map[uint64]string{}
	for _, message := range []string{
		"", "can't open", "can't close the file, it isn't open", "no address", "order # has address", "feed", "fed", `"`, `"open`, "it's 'x", "#", "##",
		"no row 3f2504e0-4f89", "ä", "ö",
	} {
		key := groupKey("error", message)
		if other, ok := distinct[key]; ok {
			t.Errorf("%q and %q are in one group", other, message)
		}
		distinct[key] = message
	}
	if groupKey("error", "x") == groupKey("panic", "x") || groupKey("a", "bc") == groupKey("ab", "c") {
		t.Error("two codes are in one group")
	}
}

// FuzzGroupKey checks that no message makes groupKey fail, and that it ignores a change of the case.
func FuzzGroupKey(f *testing.F) {
	f.Add("order 17 'x' \"y\\\" 3f2504e0-4f89-11d3-9a0c-0305e82c3301")
	f.Fuzz(func(t *testing.T, message string) {
		key := groupKey("error", message)
		if changed := strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' {
				return r - 'a' + 'A'
			}
			return r
		}, message); utf8.ValidString(message) && groupKey("error", changed) != key {
			t.Errorf("%q has another key than %q", changed, message)
		}
	})
}

func TestFewGroupsInAReport(t *testing.T) {
	t.Parallel()
	var e errorCounts
	stack := strings.Repeat("é", 4000)
	for i := range 100 {
		for range 3 {
			kind := strings.Repeat("x", i+1)
			e.add(failedAttempt{batch.Failure{Code: "error", Message: kind, Stack: stack, Attempts: 2, Worker: "w"}, "s", int64(i)})
		}
	}
	groups, other := e.take()
	if len(groups) != broker.MaxReportGroups || other != 3*(100-broker.MaxReportGroups) {
		t.Errorf("%d groups and %d other failures", len(groups), other)
	}
	for _, g := range groups {
		if g.Count != 3 || g.Source != "s" || int(g.Offset) != len(g.Message)-1 || g.Attempt != 2 || g.Worker != "w" ||
			len(g.Stack) > sampleStack+4 || !utf8.ValidString(g.Stack) {
			t.Errorf("a group is %+v", g)
		}
	}
	if groups, other = e.take(); len(groups) > 0 || other != 0 {
		t.Errorf("after a report: %d groups and %d other failures", len(groups), other)
	}
}

// A failure of a known group costs no memory.
func TestKnownFailuresAllocateNothing(t *testing.T) {
	var e errorCounts
	message := `order 17 of "ann" failed at 3f2504e0-4f89-11d3-9a0c-0305e82c3301`
	f := failedAttempt{batch.Failure{Code: "error", Message: message}, "s", 1}
	e.add(f)
	if allocs := testing.AllocsPerRun(100, func() { e.add(f) }); allocs > 0 {
		t.Errorf("%v allocations for a failure", allocs)
	}
}

func BenchmarkKnownFailure(b *testing.B) {
	var e errorCounts
	f := failedAttempt{batch.Failure{Code: "error", Message: fmt.Sprintf("order %d has no address in %q", 4711, "the table of orders")}, "s", 1}
	b.ReportAllocs()
	for b.Loop() {
		e.add(f)
	}
}
