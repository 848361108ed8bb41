package consumer

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestHeapSortsRanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Int64Range(0, 100), 1, 100).Draw(t, "offsets")
		var h rangeHeap
		for _, from := range want {
			h.push(Range{From: from})
		}
		h[0].From += rapid.Int64Range(0, 100).Draw(t, "growth")
		want = want[:0]
		for _, rg := range h {
			want = append(want, rg.From)
		}
		slices.Sort(want)
		h.down()
		var got []int64
		for len(h) > 0 {
			got = append(got, h.pop().From)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("popped %v, not %v", got, want)
		}
	})
}
