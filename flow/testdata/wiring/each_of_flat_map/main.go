// Command each_of_flat_map is a program of TestWrongWiringDoesNotCompile. It does not compile: the outputs would be lost.
package main

import (
	"context"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

var (
	even  = workers.DefineFilter("even", func(_ context.Context, x int) (bool, error) { return x%2 == 0, nil })
	same  = workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil })
	store = workers.DefineSink("store", func(context.Context, int) error { return nil })
	ints  *executor.Queue[int]
	lines *executor.Queue[string]
	words = workers.DefineFlatMap("words", func(context.Context, string, func(int)) error { return nil })
)

func main() {
	ctx := context.Background()
	_ = flow.Each(ctx, words, lines)
}
