package ranges

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRangesAreASetOfOffsets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r Set
		set := map[int64]bool{}
		offset := rapid.Int64Range(0, 60)
		for range rapid.IntRange(0, 12).Draw(t, "spans") {
			from, to := offset.Draw(t, "from"), offset.Draw(t, "to")
			r = r.Add(from, to)
			for at := from; at < to; at++ {
				set[at] = true
			}
		}
		checkRanges(t, r, set)
		again, err := Parse(r.String())
		if err != nil || !slices.Equal(again, r) || again.String() != r.String() {
			t.Fatalf("%v is written %q and read %v, %v", r, r, again, err)
		}
		from, to := offset.Draw(t, "from"), offset.Draw(t, "to")
		rest := map[int64]bool{}
		for _, s := range r.Without(from, to) {
			for at := s.From; at < s.To; at++ {
				rest[at] = true
			}
		}
		for at := range int64(61) {
			if want := from <= at && at < to && !set[at]; rest[at] != want {
				t.Fatalf("%v without [%d,%d): %d is in the rest: %v", r, from, to, at, rest[at])
			}
		}
	})
}

// checkRanges compares ranges with a set, and tells whether they are in their
// one form: sorted, not empty, not touching.
func checkRanges(t *rapid.T, r Set, set map[int64]bool) {
	t.Helper()
	last, count := int64(-2), 0
	for _, s := range r {
		if s.From <= last || s.From >= s.To {
			t.Fatalf("not in its one form: %v", r)
		}
		last = s.To
		for at := s.From; at < s.To; at++ {
			count++
			if !set[at] {
				t.Fatalf("%d is in %v", at, r)
			}
		}
	}
	low := int64(0)
	for set[low] {
		low++
	}
	if count != len(set) || r.Low() != low {
		t.Fatalf("%v has %d offsets from 0 to %d on; the set has %d, to %d", r, count, r.Low(), len(set), low)
	}
}

func TestMarksThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", "1.5", "-1", "-1,3-4", "3,", "3,4-", "3,-5", "3,7-7", "3,9-8", "3,5-6-7", "3;5-6", "99999999999999999999"} {
		r, err := Parse(text)
		if text == "3," && err == nil && slices.Equal(r, Set{{0, 3}}) {
			continue // an empty list of ranges
		}
		if err == nil || !strings.Contains(err.Error(), "mark") {
			t.Errorf("%q is read as %v, %v", text, r, err)
		}
	}
}

func FuzzRanges(f *testing.F) {
	for _, seed := range []string{"0", "12", "12,15-20,30-31", "0,1-2", "-1", "5,3-9", ",", "1,2-3,", "9223372036854775807"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil || !slices.Equal(r, again) {
			t.Fatalf("%q is read as %v, written %q, and read again as %v, %v", text, r, r, again, err)
		}
		for i, s := range r {
			if s.From >= s.To || i > 0 && r[i-1].To >= s.From {
				t.Fatalf("%q is read as %v", text, r)
			}
		}
	})
}
