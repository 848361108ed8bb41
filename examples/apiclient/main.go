// Command apiclient asks an API with a rate limit for the Scrabble scores of the words of the NATO alphabet. All workers
// together keep to the limit, and faults of the API are retried. Without Redis, the API and the worker are in this
// process:
//
//	go run ./examples/apiclient
//
// With Redis, they are processes of the same program:
//
//	export DQBRIDGE_REDIS=redis://127.0.0.1:6379
//	go run ./examples/apiclient api 127.0.0.1:8081 &
//	go run ./examples/apiclient worker http://127.0.0.1:8081 &
//	go run ./examples/apiclient worker http://127.0.0.1:8081 &
//	go run ./examples/apiclient
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

var alphabet = strings.Fields(`alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november
	oscar papa quebec romeo sierra tango uniform victor whiskey x-ray yankee zulu`)

// callTimeout bounds one call of the API.
const callTimeout = 5 * time.Second

// scores makes the stages of the program over a queue of words. In any second, 16 + 3 - 1 calls begin in all workers
// together. The API allows 20: calls may arrive closer to each other than they begin.
func scores(ctx context.Context, words *executor.Queue[string]) (*executor.Queue[int], error) {
	return executor.Map(ctx, score, words,
		executor.RateLimit(16, time.Second),
		executor.Burst(3),
		executor.Timeout(callTimeout),
		executor.Retries(4)) // they count as calls
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	address := os.Getenv("DQBRIDGE_REDIS")
	err := errors.New("usage: apiclient, apiclient api HOST:PORT, or apiclient worker URL")
	switch {
	case len(os.Args) == 1 && address == "":
		err = embedded(ctx, os.Stdout)
	case len(os.Args) == 1:
		err = report(ctx, address, os.Stdout)
	case len(os.Args) == 3 && os.Args[1] == "api":
		err = serve(ctx, os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "worker":
		err = work(ctx, address, os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apiclient:", err)
		os.Exit(1)
	}
}

// serve runs the stand-in for the API until ctx is done.
func serve(ctx context.Context, listen string) error {
	server := &http.Server{Addr: listen, Handler: newAPI(), ReadHeaderTimeout: callTimeout}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// work calls the API for other processes until ctx is done.
func work(ctx context.Context, address, url string) error {
	w, err := workers.New(address, workers.Concurrency(8), workers.Functions(scorer(url, http.DefaultClient)))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// report prints the scores that the workers of other processes find.
func report(ctx context.Context, address string, out io.Writer) (err error) {
	ex, err := executor.New(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	return write(ctx, ex, alphabet, out)
}

// embedded prints the scores that this process finds, from an API in this process.
func embedded(ctx context.Context, out io.Writer) (err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: newAPI(), ReadHeaderTimeout: callTimeout}
	go func() { _ = server.Serve(listener) }() // until Close
	defer func() { err = errors.Join(err, server.Close()) }()
	ex, err := executor.New(ctx, "", executor.Concurrency(8))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	if err := ex.Register(scorer("http://"+listener.Addr().String(), http.DefaultClient)); err != nil {
		return err
	}
	return write(ctx, ex, alphabet, out)
}

// write sends words through the stages and writes a line for each of them, in their order.
func write(ctx context.Context, ex *executor.Executor, words []string, out io.Writer) error {
	queue, err := bridge.ScatterSeq(ctx, ex, slices.Values(words))
	if err != nil {
		return err
	}
	found, err := scores(ctx, queue)
	if err != nil {
		return err
	}
	next := 0 // there is one result for each word, in its place
	for score, err := range bridge.All(ctx, found) {
		switch {
		case err == nil:
			fmt.Fprintf(out, "%s %d\n", words[next], score)
		case bridge.IsItemError(err): // of this word alone
			fmt.Fprintf(out, "%s has no score: %v\n", words[next], err)
		default:
			return err
		}
		next++
	}
	return nil
}
