// Command sonnet finds the longest word in each line of Shakespeare's Sonnet 18. It is the program of
// docs/guides/getting-started.md. Without Redis it runs its function itself:
//
//	go run ./examples/sonnet
//
// With Redis, workers run the function. They are the same program:
//
//	export DQBRIDGE_REDIS=redis://127.0.0.1:6379
//	go run ./examples/sonnet worker &
//	go run ./examples/sonnet
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

//go:embed sonnet.txt
var sonnet string

// A Word is the result of one line. It travels as JSON.
type Word struct {
	Text   string `json:"text"`
	Worker int    `json:"worker"` // the number of the process that found it
}

var longest = workers.Define("longest", func(ctx context.Context, line string) (Word, error) {
	found := Word{Worker: os.Getpid()}
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' }) {
		if len(word) > len(found.Text) {
			found.Text = word
		}
	}
	select { // in place of real work
	case <-time.After(50 * time.Millisecond):
		return found, nil
	case <-ctx.Done():
		return Word{}, context.Cause(ctx)
	}
})

// stages makes the stages of the program over a queue of lines.
func stages(ctx context.Context, lines *executor.Queue[string]) (*executor.Queue[Word], error) {
	return executor.Map(ctx, longest, lines)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	address := os.Getenv("DQBRIDGE_REDIS")
	var err error
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		err = work(ctx, address)
	} else {
		err = read(ctx, address, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sonnet:", err)
		os.Exit(1)
	}
}

// work runs the function for other processes until ctx is done.
func work(ctx context.Context, address string) error {
	w, err := workers.New(address, workers.Concurrency(1), workers.Functions(longest))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// read sends the lines through the stages and prints the results in the order of the lines.
func read(ctx context.Context, address string, out io.Writer) (err error) {
	ex, err := executor.New(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	if address == "" { // no other process can run the function
		if err := ex.Register(longest); err != nil {
			return err
		}
	}
	lines, err := bridge.ScatterSeq(ctx, ex, strings.Lines(sonnet))
	if err != nil {
		return err
	}
	words, err := stages(ctx, lines)
	if err != nil {
		return err
	}
	processes := map[int]bool{}
	for word, err := range bridge.All(ctx, words) {
		if err != nil {
			return err
		}
		processes[word.Worker] = true
		fmt.Fprintln(out, word.Text)
	}
	fmt.Fprintln(out, "processes:", len(processes))
	return nil
}
