// Command option_of_gather is a program of TestWrongWiringDoesNotCompile. It does not compile: it gives flow.Filter an option of bridge.Gather.
package main

import (
	"context"

	"github.com/dqbridge/dqbridge/bridge"
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
	_, _ = flow.Filter(ctx, even, ints, bridge.Unordered())
}
