// Command upgrade has a pipeline in three releases, whose workers run side by side. It is the program of
// docs/guides/upgrading.md:
//
//	export DQBRIDGE_REDIS=redis://127.0.0.1:6379
//	go run ./examples/upgrade worker 1 &
//	go run ./examples/upgrade load <examples/upgrade/mountains.csv
//	go run ./examples/upgrade worker 3 &
//	go run ./examples/upgrade replace
//	go run ./examples/upgrade read
package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	address := os.Getenv("DQBRIDGE_REDIS")
	err := errors.New("usage: upgrade worker RELEASE, or upgrade load|replace|read")
	switch {
	case len(os.Args) == 3 && os.Args[1] == "worker":
		err = work(ctx, address, os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "load":
		err = withExecutor(ctx, address, func(ex *executor.Executor) error { return load(ctx, ex, os.Stdin) })
	case len(os.Args) == 2 && os.Args[1] == "replace":
		err = withExecutor(ctx, address, func(ex *executor.Executor) error { return replace(ctx, ex) })
	case len(os.Args) == 2 && os.Args[1] == "read":
		err = withExecutor(ctx, address, func(ex *executor.Executor) error { return read(ctx, ex, os.Stdout) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "upgrade:", err)
		os.Exit(1)
	}
}

// work runs the functions of a release until ctx is done, and then finishes the calls that have begun.
func work(ctx context.Context, address, release string) error {
	w, err := workers.New(address,
		workers.Functions(releases[release]...),
		workers.DrainTimeout(20*time.Second)) // less than the supervisor waits before it kills
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// withExecutor calls f with an Executor, and closes it.
func withExecutor(ctx context.Context, address string, f func(*executor.Executor) error) (err error) {
	ex, err := executor.New(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	return f(ex)
}

// load stores the rows of a CSV, and makes the stage of releases 1 and 2.
func load(ctx context.Context, ex *executor.Executor, in io.Reader) error {
	rows, err := csv.NewReader(in).ReadAll()
	if err != nil {
		return err
	}
	mountains, err := bridge.NewProducer[Mountain](ctx, ex, bridge.Name("mountains"), bridge.Seal())
	if err != nil {
		return err
	}
	if _, err := describe(ctx, mountains.Queue()); err != nil {
		return err
	}
	for _, row := range rows {
		metres, err := strconv.Atoi(row[1])
		if err != nil {
			return err
		}
		if err := mountains.Send(ctx, Mountain{row[0], metres}); err != nil {
			return err
		}
	}
	return mountains.Close()
}

// replace makes the stages of release 3 over the queue that load has made.
func replace(ctx context.Context, ex *executor.Executor) error {
	mountains, err := executor.Open[Mountain](ctx, ex, "mountains")
	if err != nil {
		return err
	}
	_, err = surveyAndDescribe(ctx, mountains)
	return err
}

// read prints the results of the old chain, and if that was replaced, those of the new one.
func read(ctx context.Context, ex *executor.Executor, out io.Writer) error {
	err := readQueue(ctx, ex, "described", out)
	if errors.Is(err, executor.ErrStageReplaced) { // all that the old function has finished is read
		err = readQueue(ctx, ex, "described.surveyed", out)
	}
	return err
}

// readQueue prints the results of one queue until it ends.
func readQueue(ctx context.Context, ex *executor.Executor, name string, out io.Writer) error {
	queue, err := executor.Open[string](ctx, ex, name)
	if err != nil {
		return err
	}
	for text, err := range bridge.All(ctx, queue) {
		switch {
		case bridge.IsItemError(err):
			fmt.Fprintln(os.Stderr, "upgrade:", err)
		case err != nil:
			return err
		default:
			fmt.Fprintln(out, text)
		}
	}
	return nil
}
