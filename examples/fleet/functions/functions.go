// Package functions is shared by the producer and the workers of this example: the producer needs
// its types, the workers run it.
package functions

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/dqbridge/dqbridge/workers"
)

// Stats describes a text. It travels as JSON.
type Stats struct {
	Words   int    `json:"words"`
	Longest string `json:"longest"`
}

// Words splits a text. For a text without words it returns an error, which affects this text only.
var Words = workers.Define("words", func(_ context.Context, text string) ([]string, error) {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
	if len(words) == 0 {
		return nil, fmt.Errorf("no word in %q", text)
	}
	return words, nil
})

// Count returns the Stats of words.
var Count = workers.Define("count", func(_ context.Context, words []string) (Stats, error) {
	stats := Stats{Words: len(words)}
	for _, word := range words {
		if len(word) > len(stats.Longest) {
			stats.Longest = word
		}
	}
	return stats, nil
})
