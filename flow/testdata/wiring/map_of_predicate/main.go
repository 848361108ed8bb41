// Command map_of_predicate is a program of TestWrongWiringDoesNotCompile. It does not compile: it maps by a predicate.
package main

import (
	"context"

	"github.com/dqbridge/dqbridge/executor"
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
	_, _ = executor.Map(ctx, even, ints)
}
