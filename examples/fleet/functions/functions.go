// Package functions is what the producer and the workers of this example share:
// one reads the types from it, the other runs it.
package functions

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/dqbridge/dqbridge/workers"
)

// Stats is what is known about a text. It travels as JSON.
type Stats struct {
	Words   int    `json:"words"`
	Longest string `json:"longest"`
}

// Words splits a text. A text without words is an error, of this text alone.
var Words = workers.Define("words", func(_ context.Context, text string) ([]string, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
	if len(words) == 0 {
		return nil, fmt.Errorf("no word in %q", text)
	}
	return words, nil
})

// Count makes Stats of words.
var Count = workers.Define("count", func(_ context.Context, words []string) (Stats, error) {
	stats := Stats{Words: len(words)}
	for _, word := range words {
		if len(word) > len(stats.Longest) {
			stats.Longest = word
		}
	}
	return stats, nil
})
