package worker

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// entriesOf returns adjacent entries of a source with these numbers of items.
func entriesOf(source string, first int64, sizes []int) []broker.Entry {
	entries := make([]broker.Entry, len(sizes))
	for i, n := range sizes {
		var b batch.Builder
		for k := range n {
			b.Value(fmt.Append(nil, first+int64(k)))
		}
		frame := b.Take()
		entries[i].Batch = batch.Batch{Source: source, First: first, N: n, Frame: frame}
		entries[i].Size, entries[i].Total = len(frame), n
		first += int64(n)
	}
	return entries
}

// The outputs of a call are divided among its entries: each entry is replaced by exactly its items,
// as results, retries, or items that did not run. The same holds if a second stage has taken some
// of them on.
func TestProductReplacesEachEntryByItsItems(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 6).Draw(t, "sizes")
		entries := entriesOf("s", 3, sizes)
		total := int(entries[len(entries)-1].End() - 3)
		retries := rapid.Bool().Draw(t, "retries")
		r := &route{stage: broker.Stage{Ins: make([]broker.Queue, 1), Outs: []broker.Out{{Queue: broker.Queue{Name: "one"}}}}}
		behind := &route{stage: broker.Stage{Outs: []broker.Out{{Queue: broker.Queue{Name: "two"}}}}}
		all := []step{stepOf(r, 3, rapid.IntRange(0, total).Draw(t, "done"))}
		if done := all[0].N; done > 0 && retries {
			all[0].Again = rapid.SliceOfNDistinct(rapid.IntRange(0, done-1), 0, done, rapid.ID).Draw(t, "again")
			slices.Sort(all[0].Again)
		} else if done > 0 && rapid.Bool().Draw(t, "behind") {
			all = append(all, stepOf(behind, 3, rapid.IntRange(1, done).Draw(t, "taken")))
		}
		made := make([]completion, len(entries))
		if err := completionsOf(r, entries, all, nil, made); err != nil {
			t.Fatal(err)
		}
		for i, d := range made {
			wantReplaced(t, entries[i], d, all)
		}
	})
}

// stepOf returns the step of a stage for the first n items from an offset on.
func stepOf(r *route, first int64, n int) step {
	var b batch.Builder
	for k := range n {
		b.Value(fmt.Append(nil, first+int64(k)))
	}
	return step{route: r, Result: runner.Result{N: n, Items: n, Frame: b.Take()}}
}

func wantReplaced(t *rapid.T, e broker.Entry, d completion, all []step) {
	got := make(map[int64]string) // where each item is
	note := func(b batch.Batch, where string) {
		if b.Check() != nil || b.Source != e.Source {
			t.Fatalf("%s gets %+v: %v", where, b, b.Check())
		}
		reader := batch.Read(b.Frame)
		for offset := b.First; offset < b.End(); offset++ {
			item, _, _ := reader.Next()
			if got[offset] != "" || string(item) != fmt.Sprint(offset) {
				t.Fatalf("item %d in %s is %q, and was in %q", offset, where, item, got[offset])
			}
			got[offset] = where
		}
	}
	for _, out := range d.replace.Outs {
		note(out.Batch, out.Queue.Name)
	}
	for _, rest := range d.replace.Remainders {
		note(rest.Batch, map[bool]string{true: "again", false: "rest"}[rest.Attempts > e.Attempts])
	}
	passed := 0
	for _, by := range d.replace.Bypassed {
		passed += by.Items
	}
	for offset := e.First; offset < e.End(); offset++ {
		i := int(offset - 3)
		want := "rest"
		switch {
		case slices.Contains(all[0].Again, i):
			want = "again"
		case len(all) > 1 && i < all[1].N:
			want, passed = "two", passed-1
		case i < all[0].N:
			want = "one"
		}
		if got[offset] != want {
			t.Fatalf("item %d of [%d,%d) is in %q, not in %q", offset, e.First, e.End(), got[offset], want)
		}
	}
	if len(got) != e.N || passed != 0 {
		t.Fatalf("[%d,%d) is replaced by %v; %d more went past the queue", e.First, e.End(), got, passed)
	}
}

// A call gets adjacent entries of one source with the same number of attempts, within its bounds of
// items and bytes.
func TestACallGetsAdjacentEntries(t *testing.T) {
	t.Parallel()
	var c collection
	tried := entriesOf("a", 40, []int{2})[0]
	tried.Attempts = 1
	for _, e := range slices.Concat(entriesOf("a", 0, []int{4, 4, 4}), entriesOf("b", 12, []int{5}), entriesOf("a", 12, []int{4}),
		entriesOf("a", 20, []int{20}), []broker.Entry{tried}) {
		c.collect(e)
	}
	for _, want := range []string{"a [0,8)", "a [8,16)", "b [12,17)", "a [20,40)", "a [40,42)"} {
		entries := c.cut(8, 9, callBytes)
		first, last := entries[0], entries[len(entries)-1]
		if got := fmt.Sprintf("%s [%d,%d)", first.Source, first.First, last.End()); got != want {
			t.Errorf("a call gets %s, not %s", got, want)
		}
	}
	if c.items != 0 || len(c.runs) != 0 {
		t.Errorf("%d items in %d runs are left", c.items, len(c.runs))
	}
	for _, e := range entriesOf("a", 0, []int{1, 1, 1}) {
		e.Size = callBytes / 2
		c.collect(e)
	}
	if got := len(c.cut(100, 100, callBytes)); got != 2 {
		t.Errorf("a call gets %d entries of half of the bytes that it may have", got)
	}
}

// A call waits for the least number of items of the user, as long as more arrive.
func TestACallWaitsForItsLeastItems(t *testing.T) {
	t.Parallel()
	f := &runner.Function{Whole: true}
	r := &route{function: f, stage: broker.Stage{Kind: broker.KindMap}}
	for least, waits := range map[int]bool{0: false, 1: false, 50: true} {
		f.MinItems = least
		var c collection
		c.collect(entriesOf("s", 0, []int{1})[0])
		w := r.target()
		if ripe := c.ready(w); ripe == waits || (w.linger > 0) != waits {
			t.Errorf("with at least %d items, one of them is called: %v; it waits for %v", least, ripe, w.linger)
		}
		if c.since = c.since.Add(-w.linger); !c.ready(w) {
			t.Errorf("with at least %d items, one is not called after %v", least, w.linger)
		}
	}
}
