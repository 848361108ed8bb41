// Command worker runs the functions of the example until it is interrupted. Start any number of
// them, on any machine that reaches the Redis:
//
//	DQBRIDGE_REDIS=redis://127.0.0.1:6379 go run ./examples/fleet/worker
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/dqbridge/dqbridge/examples/fleet/functions"
	"github.com/dqbridge/dqbridge/workers"
)

func main() {
	// On the first signal the worker finishes its running items. A second signal kills it; then
	// other workers run these items again.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	w, err := workers.New(os.Getenv("DQBRIDGE_REDIS"),
		workers.Concurrency(8),
		workers.Functions(functions.Words, functions.Count),
		workers.Logger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}
