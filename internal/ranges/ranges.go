// Package ranges is sets of offsets, as gathers store them and scatters report them.
package ranges

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Span is the offsets [From, To).
type Span struct{ From, To int64 }

// A Set is a set of offsets: sorted spans that do not touch. Add may reuse its memory, as append does.
type Set []Span

// Add returns the set with [from, to) in it.
func (r Set) Add(from, to int64) Set {
	if from >= to {
		return r
	}
	i, _ := slices.BinarySearchFunc(r, from, func(s Span, at int64) int {
		if s.To < at {
			return -1
		}
		return 1
	})
	j := i
	for j < len(r) && r[j].From <= to {
		from, to = min(from, r[j].From), max(to, r[j].To)
		j++
	}
	return slices.Replace(r, i, j, Span{from, to})
}

// Without returns the parts of [from, to) that are not in the set.
func (r Set) Without(from, to int64) (rest []Span) {
	for _, s := range r {
		if s.To <= from {
			continue
		}
		if s.From >= to {
			break
		}
		if s.From > from {
			rest = append(rest, Span{from, s.From})
		}
		from = s.To
	}
	if from < to {
		rest = append(rest, Span{from, to})
	}
	return rest
}

// Intersect returns the offsets in both sets.
func (r Set) Intersect(o Set) (both Set) {
	for _, s := range r {
		rest := Set(o.Without(s.From, s.To))
		both = append(both, rest.Without(s.From, s.To)...)
	}
	return both
}

// Count returns the number of offsets of [from, to) that are in the set.
func (r Set) Count(from, to int64) (n int64) {
	for _, s := range r {
		n += max(0, min(s.To, to)-max(s.From, from))
	}
	return n
}

// Low returns the offset below which the set has every offset.
func (r Set) Low() int64 {
	if len(r) > 0 && r[0].From == 0 {
		return r[0].To
	}
	return 0
}

// String returns the form in Redis: the watermark, then the spans above it.
func (r Set) String() string {
	text := []byte(strconv.FormatInt(r.Low(), 10))
	for _, s := range r {
		if s.From > 0 {
			text = fmt.Appendf(text, ",%d-%d", s.From, s.To)
		}
	}
	return string(text)
}

// Parse reads the text of String. Malformed text is an error: to take
// it for nothing would deliver twice.
func Parse(text string) (r Set, err error) {
	mark, above, _ := strings.Cut(text, ",")
	low, err := strconv.ParseInt(mark, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("delivered mark %q: %w", text, err)
	}
	if low < 0 {
		return nil, fmt.Errorf("delivered mark %q: it is below 0", text)
	}
	if r, err = ParseSpans(above); err != nil {
		return nil, fmt.Errorf("delivered mark %q: %w", text, err)
	}
	return r.Add(0, low), nil
}

// ParseSpans reads from-to, with commas between.
func ParseSpans(text string) (r Set, err error) {
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
		r = r.Add(a, b)
	}
	return r, nil
}
