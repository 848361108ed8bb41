// Package glob compares texts with patterns, such as orders*.
package glob

import (
	"path"
	"strings"
)

// A Pattern is matched by a text as a whole. A star stands for any characters, a question mark
// for one, and brackets for one of several, as in path.Match; all of them also for slashes.
type Pattern struct{ glob string }

var noSlash = strings.NewReplacer("/", "\x00")

// Parse returns the Pattern of a text, or an error if its brackets are not closed.
func Parse(text string) (Pattern, error) {
	_, err := path.Match(text, "")
	return Pattern{noSlash.Replace(text)}, err
}

// Matches reports whether a text matches.
func (p Pattern) Matches(text string) bool {
	ok, err := path.Match(p.glob, noSlash.Replace(text))
	return err == nil && ok
}
