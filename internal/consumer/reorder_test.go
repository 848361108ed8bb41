package consumer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

func TestOrder(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("unordered=%v", unordered), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { newScene(t, unordered).play(t) })
		})
	}
}

// A scene is the input of one order: sources with their delivered offsets, and entries that arrive
// in any order.
type scene struct {
	order     *order
	unordered bool
	ends      map[string]int64
	delivered map[string]ranges.Set
	come      map[string]ranges.Set // delivered before, or put since
	arriving  []*broker.Entry
	got       map[string][]int64
	left      map[*broker.Entry]int // ranges that are not handed out yet
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
			t.Fatalf("[%d,%d) of %s has %d ranges, %v was delivered", e.First, e.End(), e.Source, got, s.delivered[e.Source])
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
				t.Fatalf("[%d,%d) of %s came twice and has %d ranges", again.First, again.End(), again.Source, n)
			}
		}
	}
	s.pop(t)
	s.check(t)
}

// pop takes all ranges that can be handed out: those of each source up to its next missing item,
// whatever is missing of other sources.
func (s *scene) pop(t *rapid.T) {
	t.Helper()
	for rg, ok := s.order.pop(); ok; rg, ok = s.order.pop() {
		n := 0
		each(rg, func(i int, item []byte, failure *batch.Failure) {
			at := rg.From + int64(i)
			if failure != nil || string(item) != fmt.Sprint(at) || i != n {
				t.Fatalf("item %d at %d is %q, %v", i, at, item, failure)
			}
			n++
			s.got[rg.Entry.Source] = append(s.got[rg.Entry.Source], at)
		})
		if n != rg.Len() || n == 0 {
			t.Fatalf("%d items of a range of %d", n, rg.Len())
		}
		*rg.undelivered -= int64(rg.Len())
		if s.left[rg.Entry]--; (s.left[rg.Entry] == 0) != (*rg.undelivered == 0) {
			t.Fatalf("%d ranges of an entry are left, and %d items", s.left[rg.Entry], *rg.undelivered)
		}
		if *rg.undelivered == 0 {
			s.over = append(s.over, rg.Entry)
		}
	}
	for source, come := range s.come {
		if reached := s.order.handedOut(source); reached != come.Low() {
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
		if reached := s.order.handedOut(source); reached != end {
			t.Fatalf("%s was handed out to %d of %d", source, reached, end)
		}
	}
	for source := range s.ends {
		s.order.forget(source)
	}
	if len(s.order.sources)+len(s.order.ready) > 0 {
		t.Fatalf("%d sources are kept, %d have something to hand out", len(s.order.sources), len(s.order.ready))
	}
}

// After Redis has lost writes, a reader holds old entries and gets the same items again in entries
// with other bounds.
func TestOverlappingEntriesAreHandedOutOnce(t *testing.T) {
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
	tr, err := newTracker(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, e := range rapid.Permutation(entries).Draw(t, "arrival") {
		if o.put(e) == 0 {
			tr.addDelivered(*e)
		}
		if rapid.Bool().Draw(t, "later") {
			continue
		}
		got = append(got, drain(o, tr)...)
	}
	got = append(got, drain(o, tr)...)
	if !o.unordered && !slices.IsSorted(got) {
		t.Fatalf("out of order: %v", got)
	}
	slices.Sort(got)
	if int64(len(got)) != n || got[n-1] != n-1 || len(slices.Compact(got)) != int(n) {
		t.Fatalf("%d items came as %v", n, got)
	}
	if finished, _, last := tr.take(); len(finished) != len(entries) || last {
		t.Fatalf("%d of %d entries can be deleted", len(finished), len(entries))
	}
}

// drain takes and delivers all ranges that can be handed out.
func drain(o *order, tr *tracker) (got []int64) {
	for rg, ok := o.pop(); ok; rg, ok = o.pop() {
		for at := rg.From; at < rg.To; at++ {
			got = append(got, at)
		}
		tr.mark(rg, 0, rg.Len())
	}
	for _, rg := range o.takeDuplicates() {
		tr.skipDuplicate(rg)
	}
	return got
}

// Any text about dropped ranges costs no more memory than its length. The order hands out the
// dropped offsets that were not delivered before, each once.
func FuzzDroppedRanges(f *testing.F) {
	for _, seed := range [][2]string{
		{"0", ""}, {"0", "0-1"}, {"0", "0-9223372036854775807"}, {"5,7-9", "0-4096,4097-9000"}, {"2", "1-2,2-3,1-9"},
		{"0", "5-3"}, {"0", ",,3-4"}, {"9223372036854775807", "1-2"}, {"0,4611686018427387904-4611686018427387905", "4611686018427387903-9223372036854775807"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, mark, gaps string) {
		o, err := newOrder(map[string]string{"s": mark}, true)
		if err != nil {
			return
		}
		dropped, err := ranges.ParseSpans(gaps)
		if err != nil {
			return
		}
		done, _ := ranges.Parse(mark)
		var want ranges.Set
		for _, s := range dropped {
			want = append(want, done.Without(s.From, s.To)...)
		}
		for range 2 { // each refresh reports it again
			o.drop("s", dropped, batch.Failure{Code: batch.CodeDropped})
		}
		if n, most := len(o.sources["s"].waiting), strings.Count(mark+","+gaps, ",")+1; n > most {
			t.Fatalf("%q and %q make %d ranges that wait", mark, gaps, n)
		}
		var got ranges.Set
		for range 64 {
			rg, ok := o.pop()
			if !ok {
				if !slices.Equal(got, want) {
					t.Fatalf("%q behind %q hands out %v and not %v", gaps, mark, got, want)
				}
				return
			}
			if rg.Len() < 1 || rg.Len() > maxFailed || len(ranges.Set(want.Without(rg.From, rg.To))) > 0 || len(got.Intersect(ranges.Set{{From: rg.From, To: rg.To}})) > 0 {
				t.Fatalf("%q behind %q hands out [%d,%d)", gaps, mark, rg.From, rg.To)
			}
			got = got.Add(rg.From, rg.To)
		}
	})
}

// One operation is 10,000 items in entries of one item, the last item first.
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
			b.Fatalf("%d of %d ranges", n, items)
		}
	}
}
