package consumer

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// TestChildrenInAnyOrder runs random flows of three stages whose workers split entries and open groups as
// they like. Gathers read the results, in order or not, and each may die behind any item. Each item is
// acknowledged once, in order, and no entry and no mark of a child is left.
func TestChildrenInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &groupWorld{
			random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), marks: map[string]string{},
			unordered: rapid.Bool().Draw(t, "unordered"), manual: rapid.Bool().Draw(t, "manual"),
		}
		n := rapid.IntRange(1, 14).Draw(t, "inputs")
		w.scatter(n)
		for stage := range 3 {
			w.run(stage)
		}
		want := w.wanted(n)
		for w.gather(t) {
		}
		if w.unordered || w.manual {
			slices.Sort(w.got)
			slices.Sort(want)
		}
		if !slices.Equal(w.got, want) {
			t.Fatalf("got  %q\nwant %q", w.got, want)
		}
		if low, err := ranges.Parse(w.marks["s"]); len(w.store) > 0 || len(w.marks) != 1 || err != nil || low.Low() != int64(n) {
			t.Fatalf("%d entries are left, and the marks %v", len(w.store), w.marks)
		}
	})
}

// A groupWorld is the queue of a gather, and the flow before it.
type groupWorld struct {
	random            *rand.Rand
	unordered, manual bool
	store             []*broker.Entry
	marks             map[string]string
	got               []string // acknowledged
}

func (w *groupWorld) scatter(n int) {
	for at := 0; at < n; {
		k := 1 + w.random.IntN(n-at)
		var b batch.Builder
		for i := range k {
			b.Value(fmt.Append(nil, at+i))
		}
		w.store = append(w.store, &broker.Entry{Batch: batch.Batch{Source: "s", First: int64(at), N: k, Frame: b.Take()}})
		at += k
	}
}

// outputsOf returns the outputs of a stage for an item.
func outputsOf(stage int, item string) (all []string) {
	n := (len(item)*7 + stage*5 + int(item[len(item)-1])) % [...]int{9, 4, 2}[stage]
	for i := range n {
		all = append(all, fmt.Sprint(item, ".", i))
	}
	return all
}

func (w *groupWorld) wanted(n int) (want []string) {
	for i := range n {
		items := []string{fmt.Sprint(i)}
		for stage := range 3 {
			var next []string
			for _, item := range items {
				next = append(next, outputsOf(stage, item)...)
			}
			items = next
		}
		want = append(want, items...)
	}
	return want
}

// run replaces each entry by the results of a stage.
func (w *groupWorld) run(stage int) {
	todo, id := w.store, 0
	w.store = nil
	for len(todo) > 0 {
		i := w.random.IntN(len(todo))
		b := todo[i].Batch
		todo = slices.Delete(todo, i, i+1)
		items, _ := b.Items()
		switch {
		case b.N > 1 && w.random.IntN(5) < 2:
			head, tail, err := b.Split(1 + w.random.IntN(b.N-1))
			if err != nil {
				panic(err)
			}
			todo = append(todo, &broker.Entry{Batch: head}, &broker.Entry{Batch: tail})
			continue
		case b.N == 1 && items > 1 && w.random.IntN(10) < 7:
			child, err := b.Open(broker.Child(b.Source, b.First, items))
			if err != nil {
				panic(err)
			}
			todo = append(todo, &broker.Entry{Batch: child})
			continue
		}
		at := make([]int32, 0, items)
		for i := range b.N {
			at = append(at, int32(i))
		}
		if batch.Counted(b.Frame) {
			var err error
			if at, err = b.AppendPositions(nil); err != nil {
				panic(err)
			}
		}
		var made batch.Builder
		var positions []int32
		r := batch.Read(b.Frame)
		for _, position := range at {
			item, _, _ := r.Next()
			for _, out := range outputsOf(stage, string(item)) {
				made.Value([]byte(out))
				positions = append(positions, position)
			}
		}
		id++
		b.Frame = batch.AppendCounts(made.Take(), positions, 0, b.N)
		w.store = append(w.store, &broker.Entry{Batch: b, Ref: broker.Ref{ID: fmt.Sprint(id)}})
	}
	w.random.Shuffle(len(w.store), func(i, j int) { w.store[i], w.store[j] = w.store[j], w.store[i] })
}

// gather runs a gather that may die, and reports whether another one has to follow.
func (w *groupWorld) gather(t *rapid.T) (died bool) {
	o, err := newOrder(w.marks, w.unordered)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := newTracker(w.marks, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr.manual.enabled = w.manual
	out := &output{ranges: make(chan Range, 1<<12), tracker: tr}
	l := &readLoop{
		order: o, tracker: tr, output: out, payloads: &payloads{keep: true}, sources: &sources{byName: map[string]*source{}}, wanted: &wanted{},
	}
	entries := slices.Clone(w.store)
	w.random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	left := 1 << 20
	if w.random.IntN(2) == 0 {
		left = w.random.IntN(30)
	}
	for _, e := range entries {
		own := *e
		if o.put(&own) == 0 {
			tr.addDelivered(own)
		}
		if err := l.emit(context.Background()); err != nil {
			t.Fatal(err)
		}
		if left = w.deliver(tr, out, left); left == 0 {
			return true
		}
	}
	tr.end()
	w.deliver(tr, out, left)
	w.acknowledge(tr)
	if _, _, last := tr.take(); !last {
		t.Fatalf("acknowledgements are left: %v, %v", slices.Sorted(maps.Keys(tr.changed)), tr.drops)
	}
	return false
}

// deliver delivers at most n items, and acknowledges from time to time. It returns the rest of n.
func (w *groupWorld) deliver(tr *tracker, out *output, n int) int {
	for len(out.ranges) > 0 && n > 0 {
		rg := <-out.ranges
		var order []int
		for i := range rg.Len() {
			order = append(order, i)
		}
		if w.manual {
			w.random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		var items []string
		each(rg, func(_ int, item []byte, _ *batch.Failure) { items = append(items, string(item)) })
		got := make([]string, rg.Len())
		for _, i := range order {
			if n == 0 {
				break
			}
			n--
			got[i] = items[i]
			if w.manual {
				rg.tickets[i].Ack()
			} else {
				tr.deliver(1)
			}
			if w.random.IntN(4) == 0 {
				w.acknowledge(tr)
			}
		}
		w.got = append(w.got, slices.DeleteFunc(got, func(s string) bool { return s == "" })...)
	}
	w.acknowledge(tr)
	return n
}

// acknowledge does what the committer and ack.lua do.
func (w *groupWorld) acknowledge(tr *tracker) {
	entries, marks, _ := tr.take()
	if w.random.IntN(5) == 0 {
		tr.restore(entries, marks)
		entries, marks, _ = tr.take()
	}
	for _, e := range entries {
		w.store = slices.DeleteFunc(w.store, func(other *broker.Entry) bool { return other.ID == e.ID })
	}
	for _, m := range marks {
		if m.Drop {
			delete(w.marks, m.Source)
		} else {
			w.marks[m.Source] = m.Delivered
		}
	}
	tr.confirm(entries, marks)
}

func TestNamesOfChildren(t *testing.T) {
	for name, want := range map[string]string{
		"s": "", "s~0": "", "s/6.100": "s 6 100", "s/6.100~0": "s~0 6 100", "s~1/6.100": "s~1 6 100", "s/6.100~0/17.300": "s/6.100~0 17 300",
		"s/6": "", "s/6.0": "", "s/-6.3": "", "s/06.3": "", "s/6.3.4": "", "s/": "",
	} {
		got := ""
		if parent, offset, n, ok := broker.Parent(name); ok {
			got = fmt.Sprint(parent, " ", offset, " ", n)
		}
		if got != want {
			t.Errorf("the parent of %q is %q, want %q", name, got, want)
		}
		if root, branch := broker.Root(name); want != "" && (root != "s" || strings.Count(branch, "~") != strings.Count(name, "~")) {
			t.Errorf("the root of %q is %q %q", name, root, branch)
		}
	}
}
