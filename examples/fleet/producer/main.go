// Command producer sends the lines of stdin through the fleet and prints the results in the order
// of the lines. It runs none of the functions itself:
//
//	DQBRIDGE_REDIS=redis://127.0.0.1:6379 go run ./examples/fleet/producer <README.md
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/examples/fleet/functions"
	"github.com/dqbridge/dqbridge/executor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	address := os.Getenv("DQBRIDGE_REDIS")
	if address == "" {
		fmt.Fprintln(os.Stderr, "producer: set DQBRIDGE_REDIS, for example to redis://127.0.0.1:6379")
		os.Exit(2)
	}
	if err := run(ctx, address, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "producer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string, in io.Reader) error {
	// The Logger reports, for example, that no worker has a function.
	ex, err := executor.New(ctx, address, executor.Logger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	if err != nil {
		return err
	}
	defer ex.Close()
	fmt.Fprintln(os.Stderr, ex)

	lines, ended := read(ctx, in)
	texts, err := bridge.Scatter(ctx, ex, lines)
	if err != nil {
		return err
	}
	words, err := executor.Map(ctx, functions.Words, texts, executor.Timeout(time.Second))
	if err != nil {
		return err
	}
	stats, err := executor.Map(ctx, functions.Count, words)
	if err != nil {
		return err
	}

	failed := 0
	for s, err := range bridge.All(ctx, stats) {
		var item *executor.ItemError
		switch {
		case errors.As(err, &item): // an error of one line; the stream continues
			failed++
		case err != nil:
			return err
		default:
			fmt.Printf("%d words, the longest is %s\n", s.Words, s.Longest)
		}
	}
	fmt.Fprintln(os.Stderr, failed, "lines had no words")
	return <-ended
}

// read returns a channel of lines, and a channel for the error at their end. A blocked read of
// stdin cannot be interrupted, so its goroutine may run until the program ends.
func read(ctx context.Context, in io.Reader) (<-chan string, <-chan error) {
	lines, ended := make(chan string, 64), make(chan error, 1)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				ended <- context.Cause(ctx)
				return
			}
		}
		ended <- scanner.Err()
	}()
	return lines, ended
}
