package worker

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// Pieces are few and in order. Joined, they are the batch again, and those of each tail are smaller
// than the tail.
func TestPiecesAreFewAndCoverTheBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{0, 1, 100, 5000}).Draw(t, "bytes of an item")
		n := rapid.IntRange(1, min(200_000, batch.MaxBytes/(size+2))).Draw(t, "items")
		leaf := rapid.SampledFrom([]int{1, 2, 7, 100, 5000}).Draw(t, "leaf")
		b := repeated(n, string(make([]byte, size)))
		parts, err := pieces(b, leaf)
		if err != nil {
			t.Fatal(err)
		}
		if len(parts) > 1+maxLeaves+maxTails {
			t.Fatalf("%d items in leaves of %d become %d pieces", n, leaf, len(parts))
		}
		at := b.First
		for i, part := range parts {
			if part.First != at || part.Source != b.Source || part.Check() != nil {
				t.Fatalf("piece %d is %d items at %d, which should begin at %d: %v", i, part.N, part.First, at, part.Check())
			}
			if i < min(maxLeaves, n/leaf) && part.N != leaf {
				t.Fatalf("piece %d has %d items, not %d", i, part.N, leaf)
			}
			if len(part.Frame) > 2*tailBytes && part.N > leaf && len(parts) < maxLeaves+maxTails {
				t.Fatalf("piece %d of %d has %d bytes", i, len(parts), len(part.Frame))
			}
			at = part.End()
		}
		if at != b.End() || n > leaf && len(parts) == 1 {
			t.Fatalf("%d pieces end at %d, the batch at %d", len(parts), at, b.End())
		}
	})
}

// The completions of one call are bounded by parts and bytes. A larger entry goes alone.
func TestPortionsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := make([]completion, rapid.IntRange(1, completeEntries).Draw(t, "entries"))
		for i := range all {
			all[i].replace.Remainders = make([]broker.Remainder, rapid.IntRange(0, 2*completeParts).Draw(t, "rests"))
			all[i].replace.Outs = []broker.Output{{Batch: batch.Batch{Frame: make([]byte, rapid.IntRange(0, completeBytes).Draw(t, "bytes"))}}}
		}
		for len(all) > 0 {
			n := inOneCall(all)
			parts, bytes := 0, 0
			for i := range all[:n] {
				p, b := all[i].size()
				parts, bytes = parts+p, bytes+b
			}
			if n < 1 || n > 1 && (parts > completeParts || bytes > completeBytes) {
				t.Fatalf("%d entries of %d parts and %d bytes", n, parts, bytes)
			}
			all = all[n:]
		}
	})
}

func TestTheShareOfASlot(t *testing.T) {
	for name, c := range map[string]*struct {
		route   route
		cost    time.Duration
		room    int64
		n, want int
	}{
		"unknown cost":         {n: 8192, want: 8192},
		"a few spells":         {cost: time.Millisecond, n: 80, want: 80},
		"many spells":          {cost: time.Millisecond, n: 81, want: 10},
		"dear":                 {cost: time.Second, n: 8192, want: 1},
		"dear, few":            {cost: time.Second, n: 2, want: 1},
		"dear, one":            {cost: time.Hour, n: 1, want: 1},
		"bounded out-queue":    {room: 64, n: 8192, want: 64},
		"retries":              {route: route{stage: broker.Stage{Retries: 1}}, n: 8192, want: 8192},
		"batches":              {route: route{function: &runner.Function{Whole: true}}, n: 8192, want: 8192},
		"dear batches":         {route: route{function: &runner.Function{Whole: true}}, cost: time.Second, n: 8192, want: 8192},
		"batches with retries": {route: route{function: &runner.Function{Whole: true}, stage: broker.Stage{Retries: 1}}, n: 8192, want: maxTogether},
	} {
		r := &c.route
		if r.function == nil {
			r.function = &runner.Function{}
		}
		r.maxItems.Store(c.room)
		if c.cost > 0 {
			r.learn(c.cost, 1)
		}
		if got := r.share(c.n); got != c.want {
			t.Errorf("%s: %d of %d items, want %d", name, got, c.n, c.want)
		}
	}
}

// repeated returns a batch of n times the item.
func repeated(n int, item string) batch.Batch {
	var b batch.Builder
	for range n {
		b.Value([]byte(item))
	}
	return batch.Batch{Source: "s", N: n, Frame: b.Take()}
}
