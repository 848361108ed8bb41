// Command wordcount prints the ten most frequent words of Alice's Adventures in Wonderland. Without Redis it runs its
// functions itself:
//
//	go run ./examples/wordcount
//
// With Redis, workers run the functions. They are the same program:
//
//	export DQBRIDGE_REDIS=redis://127.0.0.1:6379
//	go run ./examples/wordcount worker &
//	go run ./examples/wordcount
//
// The text, by Lewis Carroll, is in the public domain. It is the file alice29.txt of the Canterbury Corpus, as in
// github.com/google/snappy.
package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

//go:embed book.txt
var book string

// words yields the words of a line, in lower case. A line may have none.
var words = workers.DefineFlatMap("words", func(_ context.Context, line string, yield func(string)) error {
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' }) {
		if word = strings.Trim(word, "'"); word != "" { // an apostrophe within a word stays, quotation marks do not
			yield(strings.ToLower(word))
		}
	}
	return nil
})

// stopWords are too frequent to say something about a book.
var stopWords = strings.Fields(`a about all and as at be but by for had have he her his i if in is it it's no not of on
	or out she so that the them then they this to up very was were what when with you`)

// notable keeps the other words.
var notable = workers.DefineFilter("notable", func(_ context.Context, word string) (bool, error) {
	return !slices.Contains(stopWords, word), nil
})

// stages makes the stages of the program over a queue of lines.
func stages(ctx context.Context, lines *executor.Queue[string]) (*executor.Queue[string], error) {
	all, err := flow.FlatMap(ctx, words, lines)
	if err != nil {
		return nil, err
	}
	return flow.Filter(ctx, notable, all)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	address := os.Getenv("DQBRIDGE_REDIS")
	var err error
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		err = work(ctx, address)
	} else {
		err = report(ctx, address, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wordcount:", err)
		os.Exit(1)
	}
}

// work runs the functions for other processes until ctx is done.
func work(ctx context.Context, address string) error {
	w, err := workers.New(address, workers.Functions(words, notable))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// report prints the ten most frequent words of the book.
func report(ctx context.Context, address string, out io.Writer) error {
	counts, err := count(ctx, address)
	if err != nil {
		return err
	}
	ranked := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
	for _, word := range ranked[:10] {
		fmt.Fprintf(out, "%4d %s\n", counts[word], word)
	}
	return nil
}

// count sends the lines of the book through the stages and counts the words that come back.
func count(ctx context.Context, address string) (counts map[string]int, err error) {
	ex, err := executor.New(ctx, address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	if address == "" { // no other process can run the functions
		if err := ex.Register(words, notable); err != nil {
			return nil, err
		}
	}
	lines, err := bridge.ScatterSeq(ctx, ex, strings.Lines(book))
	if err != nil {
		return nil, err
	}
	kept, err := stages(ctx, lines)
	if err != nil {
		return nil, err
	}
	counts = map[string]int{}
	for word, err := range bridge.All(ctx, kept) {
		if err != nil {
			return nil, err
		}
		counts[word]++
	}
	return counts, nil
}
