// Command tasks sends tasks to a fleet of workers, as a program with asynq does. It is the program of
// docs/guides/from-asynq.md:
//
//	export DQBRIDGE_REDIS=redis://127.0.0.1:6379
//	go run ./examples/tasks worker &
//	go run ./examples/tasks enqueue <examples/tasks/planets.csv
//	go run ./examples/tasks inspect
//	go run ./examples/tasks watch
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
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
	err := errors.New("usage: tasks worker|enqueue|watch|inspect")
	switch strings.Join(os.Args[1:], " ") {
	case "worker":
		err = work(ctx, address)
	case "enqueue":
		err = enqueue(ctx, address, os.Stdin)
	case "watch":
		err = watch(ctx, address, os.Stdout)
	case "inspect":
		err = inspect(ctx, address, os.Stdout)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "tasks:", err)
		os.Exit(1)
	}
}

// work runs the tasks until ctx is done.
func work(ctx context.Context, address string) error {
	w, err := workers.New(address, workers.Concurrency(10), workers.Functions(gravity), workers.Use(logged))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// enqueue makes a task of each line. It returns when Redis has all of them.
func enqueue(ctx context.Context, address string, in io.Reader) (err error) {
	ex, err := executor.New(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	tasks, err := bridge.NewProducer[string](ctx, ex, bridge.Name("gravity"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tasks.Close()) }()
	_, err = executor.Map(ctx, gravity, tasks.Queue(), executor.Name("gravity.done"),
		executor.Retries(3),
		executor.Backoff(100*time.Millisecond, time.Minute),
		executor.Timeout(10*time.Second))
	if err != nil {
		return err
	}
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		if err := tasks.Send(ctx, scanner.Text()); err != nil {
			return err
		}
	}
	return scanner.Err()
}

// watch takes the results, also those of tasks that failed for good, until ctx is done.
func watch(ctx context.Context, address string, out io.Writer) (err error) {
	ex, err := executor.New(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	done, err := executor.Open[Gravity](ctx, ex, "gravity.done")
	if err != nil {
		return err
	}
	for result, err := range bridge.All(ctx, done, bridge.Unordered(), bridge.Wait()) {
		switch {
		case bridge.IsItemError(err):
			fmt.Fprintln(out, "failed:", err)
		case bridge.IsSourceError(err):
			fmt.Fprintln(out, "a program that sent tasks has ended early:", err)
		case err != nil:
			return err
		default:
			fmt.Fprintf(out, "%s: %.1f m/s², attempts: %d\n", result.Planet, result.Gravity, result.Attempts)
		}
	}
	return nil
}

// inspect prints the numbers of items of each queue.
func inspect(ctx context.Context, address string, out io.Writer) (err error) {
	inspector, err := executor.NewInspector(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inspector.Close()) }()
	queues, err := inspector.Queues(ctx)
	if err != nil {
		return err
	}
	for _, q := range queues {
		fmt.Fprintf(out, "%s: %d waiting, %d added\n", q.Name, q.Waiting, q.Added)
	}
	return nil
}
