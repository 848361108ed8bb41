package cli

import (
	"fmt"
	"slices"
	"strings"
)

// Instead says what could stand in place of a name that does not exist: the
// nearest of names, or all of them if none is near.
func Instead(name string, names []string) string {
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	if len(names) == 0 {
		return "there is none"
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if len(names) == 1 {
		return "there is " + names[0]
	}
	return "there are " + strings.Join(names, ", ")
}

// nearest returns the name that may have been meant, "" if there is none: a third of it may be wrong.
func nearest(name string, names []string) string {
	bare := func(name string) string { return strings.ToLower(strings.TrimLeft(name, "-")) }
	wanted := bare(name)
	best, least := "", max(1, len(wanted)/3)+1
	for _, candidate := range names {
		d := distance(wanted, bare(candidate))
		if d >= len(wanted) { // nothing of it is left
			continue
		}
		if d < least || d == least && best != "" && candidate < best {
			best, least = candidate, d
		}
	}
	return best
}

// distance is how many bytes have to be inserted, deleted, replaced or swapped
// with their neighbour to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
