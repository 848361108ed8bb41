package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/dqbridge/dqbridge/workers"
)

// logged is a middleware that logs each call of a function with its error and its time.
func logged(next workers.Handler) workers.Handler {
	return func(ctx context.Context, call workers.Call) error {
		begin := time.Now()
		err := next(ctx, call)
		slog.InfoContext(ctx, "task", "function", call.Function, "source", call.Source, "offset", call.Offset,
			"attempt", call.Attempt, "time", time.Since(begin), "err", err)
		return err
	}
}
