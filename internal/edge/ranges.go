package edge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// span is the offsets [from, to).
type span struct{ from, to int64 }

// ranges is a set of offsets: sorted spans that do not touch.
type ranges []span

// add returns the set with [from, to) in it.
func (r ranges) add(from, to int64) ranges {
	if from >= to {
		return r
	}
	i, _ := slices.BinarySearchFunc(r, from, func(s span, at int64) int {
		if s.to < at {
			return -1
		}
		return 1
	})
	j := i
	for j < len(r) && r[j].from <= to {
		from, to = min(from, r[j].from), max(to, r[j].to)
		j++
	}
	return slices.Replace(r, i, j, span{from, to})
}

// without returns the parts of [from, to) that are not in the set.
func (r ranges) without(from, to int64) (rest []span) {
	for _, s := range r {
		if s.to <= from {
			continue
		}
		if s.from >= to {
			break
		}
		if s.from > from {
			rest = append(rest, span{from, s.from})
		}
		from = s.to
	}
	if from < to {
		rest = append(rest, span{from, to})
	}
	return rest
}

// both returns the offsets in both sets.
func (r ranges) both(o ranges) (both ranges) {
	for _, s := range r {
		rest := ranges(o.without(s.from, s.to))
		both = append(both, rest.without(s.from, s.to)...)
	}
	return both
}

// within is how many offsets of [from, to) are in the set.
func (r ranges) within(from, to int64) (n int64) {
	for _, s := range r {
		n += max(0, min(s.to, to)-max(s.from, from))
	}
	return n
}

// low is the offset below which everything is in the set.
func (r ranges) low() int64 {
	if len(r) > 0 && r[0].from == 0 {
		return r[0].to
	}
	return 0
}

// String is the form in Redis: the mark, then the ranges above it.
func (r ranges) String() string {
	text := []byte(strconv.FormatInt(r.low(), 10))
	for _, s := range r {
		if s.from > 0 {
			text = fmt.Appendf(text, ",%d-%d", s.from, s.to)
		}
	}
	return string(text)
}

// parseRanges reads the text of String. Malformed text is an error: to take
// it for nothing would deliver twice.
func parseRanges(text string) (r ranges, err error) {
	mark, above, _ := strings.Cut(text, ",")
	low, err := strconv.ParseInt(mark, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("delivered mark %q: %w", text, err)
	}
	if low < 0 {
		return nil, fmt.Errorf("delivered mark %q: it is below 0", text)
	}
	if r, err = parseSpans(above); err != nil {
		return nil, fmt.Errorf("delivered mark %q: %w", text, err)
	}
	return r.add(0, low), nil
}

// parseSpans reads from-to, with commas between.
func parseSpans(text string) (r ranges, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		from, to, _ := strings.Cut(part, "-")
		a, errA := strconv.ParseInt(from, 10, 64)
		b, errB := strconv.ParseInt(to, 10, 64)
		if errA != nil || errB != nil || a >= b {
			return nil, fmt.Errorf("range %q is none", part)
		}
		r = r.add(a, b)
	}
	return r, nil
}
