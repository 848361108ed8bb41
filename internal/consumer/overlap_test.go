package consumer

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// When Redis has lost writes, a reader holds entries from before, and gets the
// same items again in entries that are cut elsewhere.
func TestEntriesThatOverlapAreHandedOutOnce(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("unordered=%v", unordered), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				o, err := newOrder(nil, unordered)
				if err != nil {
					t.Fatal(err)
				}
				overlap(t, o)
			})
		})
	}
}

func overlap(t *rapid.T, o *order) {
	n := rapid.Int64Range(1, 20).Draw(t, "items")
	var entries []*broker.Entry
	for range 2 {
		for from := int64(0); from < n; {
			to := min(n, from+rapid.Int64Range(1, 7).Draw(t, "entry"))
			entries = append(entries, &broker.Entry{Ref: broker.Ref{ID: fmt.Sprint(len(entries))}, Batch: brokertest.Numbers("s", from, to)})
			from = to
		}
	}
	var a acks
	if err := a.begin(nil, nil); err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, e := range rapid.Permutation(entries).Draw(t, "arrival") {
		if o.put(e) == 0 {
			a.entry(*e)
		}
		if rapid.Bool().Draw(t, "later") {
			continue
		}
		got = append(got, drain(o, &a)...)
	}
	got = append(got, drain(o, &a)...)
	if !o.unordered && !slices.IsSorted(got) {
		t.Fatalf("out of order: %v", got)
	}
	slices.Sort(got)
	if int64(len(got)) != n || got[n-1] != n-1 || len(slices.Compact(got)) != int(n) {
		t.Fatalf("%d items came as %v", n, got)
	}
	if whole, _, done := a.take(); len(whole) != len(entries) || done {
		t.Fatalf("%d of %d entries can be deleted", len(whole), len(entries))
	}
}

// drain takes and delivers what may be handed out.
func drain(o *order, a *acks) (got []int64) {
	for p, ok := o.pop(); ok; p, ok = o.pop() {
		for at := p.From; at < p.To; at++ {
			got = append(got, at)
		}
		a.mark(p, p.From, p.To)
	}
	for _, p := range o.takeCovered() {
		a.cover(p)
	}
	return got
}
