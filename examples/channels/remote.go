package main

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

var (
	parseFunc  = workers.Define("parse", parse)
	reportFunc = workers.Define("report", report)
)

// remote is the same pipeline with its stages on a fleet.
func remote(ctx context.Context, ex *executor.Executor, lines []string, out io.Writer, problems *log.Logger) error {
	in := make(chan string)
	queue, err := bridge.Scatter(ctx, ex, in)
	if err != nil {
		return err
	}
	go func() {
		defer close(in)
		for _, line := range lines {
			select {
			case in <- line:
			case <-queue.Done(): // also when ctx is done
				return
			}
		}
	}()
	hits, err := executor.Map(ctx, parseFunc, queue)
	if err != nil {
		return err
	}
	reports, err := executor.Map(ctx, reportFunc, hits)
	if err != nil {
		return err
	}
	results, err := bridge.Gather(ctx, reports)
	if err != nil {
		return err
	}
	for r := range results {
		switch {
		case r.Err == nil:
			fmt.Fprintln(out, r.Value)
		case bridge.IsItemError(r.Err):
			problems.Println(r.Err)
		default: // the stream was cut, for example since ctx is done
			return r.Err
		}
	}
	return nil
}
