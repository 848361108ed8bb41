// Command good_flat_map is a program of TestWrongWiringDoesNotCompile. It compiles: it makes ints of lines, and a function maps the ints.
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
	words = workers.DefineFlatMap("words", func(context.Context, string, func(int)) error { return nil })
)

func main() {
	ctx := context.Background()
	numbers, _ := flow.FlatMap(ctx, words, lines)
	_, _ = executor.Map(ctx, same, numbers)
	_, _ = flow.FlatMap(ctx, workers.RemoteFlatMap[int, string]("x"), ints, executor.NoFuse())
	_, _, _ = isOdd, even, workers.Functions(words)
}
