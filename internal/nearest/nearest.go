// Package nearest suggests an existing name for a misspelled one.
package nearest

import (
	"fmt"
	"slices"
	"strings"
)

const typo = 2 // edits of a typing error

// Suggest returns the end of an error message about an unknown name: a question with the nearest of
// names, or the list of all names if none is near.
func Suggest(name string, names []string) string {
	if near := Name(name, names); near != "" {
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

// Typo returns the one of names that was probably meant by a misspelled name: the nearest one, at most
// two edits away. It is "" if there is none, or if the name is one of names.
func Typo(name string, names []string) string {
	near := Name(name, names)
	if slices.Contains(names, name) || distance(bare(name), bare(near)) > typo {
		return ""
	}
	return near
}

// Name returns the nearest of names, "" if none is near. A near name differs from the given one in
// at most a third of its bytes, or in one byte. Case and leading dashes are ignored.
func Name(name string, names []string) string {
	wanted := bare(name)
	best, least := "", max(1, len(wanted)/3)+1
	for _, candidate := range names {
		d := distance(wanted, bare(candidate))
		if d >= len(wanted) { // as far as any unrelated name
			continue
		}
		if d < least || d == least && best != "" && candidate < best {
			best, least = candidate, d
		}
	}
	return best
}

// bare returns a name as it is compared.
func bare(name string) string { return strings.ToLower(strings.TrimLeft(name, "-")) }

// distance returns the number of edits that turn a into b. An edit inserts, deletes or replaces a
// byte, or swaps two adjacent bytes.
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
