// Command good is a program of TestWrongWiringDoesNotCompile. It compiles: it filters ints by a predicate of ints, and gathers them.
package main

import (
	"context"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

var (
	even  = workers.DefineFilter("even", func(_ context.Context, x int) (bool, error) { return x%2 == 0, nil })
	isOdd = workers.Define("odd", func(_ context.Context, x int) (bool, error) { return x%2 == 1, nil })
	same  = workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil })
	ints  *executor.Queue[int]
	lines *executor.Queue[string]
)

func main() {
	ctx := context.Background()
	_, _ = flow.Filter(ctx, even, ints)
	_, _ = flow.Filter(ctx, workers.RemoteFilter[string]("x"), lines, executor.NoFuse())
	_, _ = executor.Map(ctx, isOdd, ints)
	_ = workers.Functions(even, isOdd, same)
}
