package consumer

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// each calls f for each item of a piece: its bytes, or its failure.
func each(p Range, f func(i int, item []byte, failure *batch.Failure)) {
	r := p.Reader()
	for i := range p.Len() {
		if p.Entry.Lost != nil {
			f(i, nil, p.Entry.Lost)
			continue
		}
		item, failed, _ := r.Next()
		if failed {
			failure := batch.ParseFailure(item)
			f(i, nil, &failure)
			continue
		}
		f(i, item, nil)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("unordered=%v", unordered), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { newScene(t, unordered).play(t) })
		})
	}
}

// A scene is what one order is asked to do: sources, what was delivered of them
// before, and entries that arrive in any order.
type scene struct {
	order     *order
	unordered bool
	ends      map[string]int64
	delivered map[string]ranges.Set
	come      map[string]ranges.Set // delivered before, or put since
	arriving  []*broker.Entry
	got       map[string][]int64
	left      map[*broker.Entry]int // pieces to come
	over      []*broker.Entry       // handed out whole
}

func newScene(t *rapid.T, unordered bool) *scene {
	s := &scene{unordered: unordered, ends: map[string]int64{}, delivered: map[string]ranges.Set{}, come: map[string]ranges.Set{}, got: map[string][]int64{}, left: map[*broker.Entry]int{}}
	marks := map[string]string{}
	for i := range rapid.IntRange(1, 3).Draw(t, "sources") {
		source := fmt.Sprint("s", i)
		n := rapid.Int64Range(1, 30).Draw(t, "items")
		var done ranges.Set
		for range rapid.IntRange(0, 3).Draw(t, "delivered spans") {
			from := rapid.Int64Range(0, n).Draw(t, "from")
			done = done.Add(from, min(n, from+rapid.Int64Range(0, 8).Draw(t, "length")))
		}
		s.ends[source], s.delivered[source], s.come[source] = n, done, slices.Clone(done)
		if rapid.Bool().Draw(t, "has a mark") || len(done) > 0 {
			marks[source] = done.String()
		}
		for from := int64(0); from < n; {
			to := min(n, from+rapid.Int64Range(1, 7).Draw(t, "entry"))
			s.arriving = append(s.arriving, &broker.Entry{Batch: brokertest.Numbers(source, from, to)})
			from = to
		}
	}
	if len(s.arriving) > 1 {
		s.arriving = rapid.Permutation(s.arriving).Draw(t, "arrival")
	}
	var err error
	if s.order, err = newOrder(marks, unordered); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) play(t *rapid.T) {
	for len(s.arriving) > 0 {
		e := s.arriving[0]
		s.arriving = s.arriving[1:]
		want := len(s.delivered[e.Source].Without(e.First, e.End()))
		if got := s.order.put(e); got != want {
			t.Fatalf("[%d,%d) of %s has %d pieces, %v was delivered", e.First, e.End(), e.Source, got, s.delivered[e.Source])
		}
		s.come[e.Source] = s.come[e.Source].Add(e.First, e.End())
		if s.left[e] = want; want == 0 {
			s.over = append(s.over, e)
		}
		if rapid.Bool().Draw(t, "pop") {
			s.pop(t)
		}
		if len(s.over) > 0 && rapid.IntRange(0, 3).Draw(t, "again") == 0 {
			again := *rapid.SampledFrom(s.over).Draw(t, "duplicate")
			if n := s.order.put(&again); n != 0 {
				t.Fatalf("[%d,%d) of %s came twice and has %d pieces", again.First, again.End(), again.Source, n)
			}
		}
	}
	s.pop(t)
	s.check(t)
}

// pop takes what may be handed out: of each source all up to its own next gap,
// whatever is missing of the others.
func (s *scene) pop(t *rapid.T) {
	t.Helper()
	for p, ok := s.order.pop(); ok; p, ok = s.order.pop() {
		n := 0
		each(p, func(i int, item []byte, failure *batch.Failure) {
			at := p.From + int64(i)
			if failure != nil || string(item) != fmt.Sprint(at) || i != n {
				t.Fatalf("item %d at %d is %q, %v", i, at, item, failure)
			}
			n++
			s.got[p.Entry.Source] = append(s.got[p.Entry.Source], at)
		})
		if n != p.Len() || n == 0 {
			t.Fatalf("%d items of a piece of %d", n, p.Len())
		}
		*p.left -= int64(p.Len())
		if s.left[p.Entry]--; (s.left[p.Entry] == 0) != (*p.left == 0) {
			t.Fatalf("%d pieces of an entry are left, and %d items", s.left[p.Entry], *p.left)
		}
		if *p.left == 0 {
			s.over = append(s.over, p.Entry)
		}
	}
	for source, come := range s.come {
		if reached := s.order.reached(source); reached != come.Low() {
			t.Fatalf("%s is handed out to %d, and %v of it has come", source, reached, come)
		}
	}
}

func (s *scene) check(t *rapid.T) {
	t.Helper()
	for source, end := range s.ends {
		seen := map[int64]bool{}
		last := int64(-1)
		for _, at := range s.got[source] {
			if seen[at] || !s.unordered && at <= last {
				t.Fatalf("%s was handed out as %v", source, s.got[source])
			}
			seen[at], last = true, at
		}
		for at := range end {
			if was := len(s.delivered[source].Without(at, at+1)) == 0; was == seen[at] {
				t.Fatalf("item %d of %s: delivered before %v, handed out %v", at, source, was, seen[at])
			}
		}
		if reached := s.order.reached(source); reached != end {
			t.Fatalf("%s was handed out to %d of %d", source, reached, end)
		}
	}
	for source := range s.ends {
		s.order.forget(source)
	}
	if len(s.order.lanes)+len(s.order.ready) > 0 {
		t.Fatalf("%d sources are kept, %d have something to hand out", len(s.order.lanes), len(s.order.ready))
	}
}

func TestALostEntryIsFailuresItemByItem(t *testing.T) {
	t.Parallel()
	e := broker.Entry{Batch: batch.Batch{Source: "s", First: 3, N: 4, Lost: &batch.Failure{Code: batch.CodeLost}}}
	n := 0
	each(Range{Entry: &e, From: 4, To: 6}, func(i int, item []byte, f *batch.Failure) {
		if i != n || item != nil || f == nil || f.Code != batch.CodeLost {
			t.Errorf("item %d: %q, %v", i, item, f)
		}
		n++
	})
	if n != 2 {
		t.Errorf("%d items", n)
	}
}

// One operation is 10,000 items that come one by one, the last one first.
func BenchmarkOrderBackwards(b *testing.B) {
	const items = 10_000
	entries := make([]broker.Entry, items)
	for i := range entries {
		entries[i].Batch = brokertest.Numbers("s", int64(i), int64(i)+1)
	}
	for b.Loop() {
		o, err := newOrder(nil, false)
		if err != nil {
			b.Fatal(err)
		}
		for i := range entries {
			o.put(&entries[items-1-i])
		}
		n := 0
		for _, ok := o.pop(); ok; _, ok = o.pop() {
			n++
		}
		if n != items {
			b.Fatalf("%d of %d pieces", n, items)
		}
	}
}
