// Command good_each is a program of TestWrongWiringDoesNotCompile. It compiles: it stores ints, one by one or by batches.
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
	numbers, _ := flow.FlatMap(ctx, words, lines)
	_ = flow.Each(ctx, store, numbers, executor.Retries(2))
	_ = flow.Each(ctx, workers.DefineBatchSink("all", func(context.Context, []int) error { return nil }), ints)
	_ = flow.Each(ctx, workers.RemoteSink[string]("print"), lines, executor.NoFuse())
	_, _, _ = even, same, workers.Functions(store)
}
