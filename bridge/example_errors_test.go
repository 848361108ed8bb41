package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// An error says which item it is of, also if results come in any order.
func ExampleIsItemError() {
	ctx := context.Background()
	odd := workers.Define("odd", func(_ context.Context, x int) (int, error) {
		if x%2 == 0 {
			return 0, errors.New("it is even")
		}
		return x, nil
	})
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(odd); err != nil {
		log.Fatal(err)
	}
	lines := []int{3, 8, 5}
	queue, err := bridge.ScatterSeq(ctx, ex, slices.Values(lines))
	if err != nil {
		log.Fatal(err)
	}
	queue, err = executor.Map(ctx, odd, queue)
	if err != nil {
		log.Fatal(err)
	}
	results, err := bridge.Gather(ctx, queue, bridge.Unordered())
	if err != nil {
		log.Fatal(err)
	}
	for r := range results {
		switch {
		case bridge.IsSourceError(r.Err):
			fmt.Println("a producer has gone:", r.Err)
		case bridge.IsItemError(r.Err):
			fmt.Printf("line %d is %d: %v\n", r.Offset()+1, lines[r.Offset()], r.Err)
		case r.Err != nil:
			log.Fatal("the stream was cut: ", r.Err)
		}
	}
	// Output:
	// line 2 is 8: odd: it is even
}

// The second function fails, and the failure brings the word that was scattered.
func ExampleKeepInput() {
	ctx := context.Background()
	length := workers.Define("length", func(_ context.Context, word string) (int, error) { return len(word), nil })
	short := workers.Define("short", func(_ context.Context, n int) (int, error) {
		if n > 4 {
			return 0, errors.New("it is too long")
		}
		return n, nil
	})
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(length, short); err != nil {
		log.Fatal(err)
	}
	words, err := bridge.ScatterSeq(ctx, ex, slices.Values([]string{"oak", "willow", "elm"}), bridge.KeepInput())
	if err != nil {
		log.Fatal(err)
	}
	lengths, err := executor.Map(ctx, length, words)
	if err != nil {
		log.Fatal(err)
	}
	lengths, err = executor.Map(ctx, short, lengths)
	if err != nil {
		log.Fatal(err)
	}
	results, err := bridge.Gather(ctx, lengths, bridge.KeepInput())
	if err != nil {
		log.Fatal(err)
	}
	for r := range results {
		if bridge.IsItemError(r.Err) {
			word, err := executor.InputAs[string](r.Err, nil)
			fmt.Println(word, r.Err, err)
		}
	}
	// Output:
	// willow short: it is too long <nil>
}

// A consumer stores results by the hundred, and then acknowledges all of them at once. While another process has the
// queue, it waits.
func ExampleResult_AckThrough() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	queue, err := bridge.ScatterSeq(ctx, ex, func(yield func(int) bool) {
		for i := range 250 {
			if !yield(i) {
				return
			}
		}
	}, bridge.Name("readings"), bridge.Seal())
	if err != nil {
		log.Fatal(err)
	}
	results, err := bridge.Gather(ctx, queue, bridge.ManualAck(), bridge.Wait(), bridge.MaxHeld(64<<20))
	if err != nil {
		log.Fatal(err)
	}
	var last bridge.Result[int]
	stored := 0
	for last = range results {
		if stored++; stored%100 == 0 || stored == 250 {
			last.AckThrough()
			fmt.Println(stored, "are stored")
		}
	}
	// Output:
	// 100 are stored
	// 200 are stored
	// 250 are stored
}
