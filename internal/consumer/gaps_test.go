package consumer

import (
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// Whatever a source says that it has dropped costs as little as the text of it, and
// what comes out of it is what was not delivered before, each offset once.
func FuzzGaps(f *testing.F) {
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
		for range 2 { // it is told again with each look
			o.drop("s", dropped, batch.Failure{Code: batch.CodeDropped})
		}
		if n, most := len(o.lanes["s"].waiting), strings.Count(mark+","+gaps, ",")+1; n > most {
			t.Fatalf("%q and %q make %d pieces that wait", mark, gaps, n)
		}
		var got ranges.Set
		for range 64 {
			p, ok := o.pop()
			if !ok {
				if !slices.Equal(got, want) {
					t.Fatalf("%q behind %q hands out %v and not %v", gaps, mark, got, want)
				}
				return
			}
			if p.Len() < 1 || p.Len() > failPiece || len(ranges.Set(want.Without(p.From, p.To))) > 0 || len(got.Intersect(ranges.Set{{From: p.From, To: p.To}})) > 0 {
				t.Fatalf("%q behind %q hands out [%d,%d)", gaps, mark, p.From, p.To)
			}
			got = got.Add(p.From, p.To)
		}
	})
}
