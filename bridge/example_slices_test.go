package bridge_test

import (
	"context"
	"fmt"
	"log"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A program that has many items at a time saves a channel operation for each item. The stream is
// the same.
func ExampleScatterSlices() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	half := workers.Define("half", func(_ context.Context, x int) (int, error) {
		if x%2 != 0 {
			return 0, fmt.Errorf("%d is odd", x)
		}
		return x / 2, nil
	})
	if err := ex.Register(half); err != nil {
		log.Fatal(err)
	}
	input := make(chan []int, 2)
	input <- []int{2, 4, 5}
	input <- []int{6}
	close(input)
	remoteQ, err := bridge.ScatterSlices(ctx, ex, input)
	if err != nil {
		log.Fatal(err)
	}
	halfQ, err := executor.Map(ctx, half, remoteQ)
	if err != nil {
		log.Fatal(err)
	}
	output, err := bridge.GatherSlices(ctx, halfQ)
	if err != nil {
		log.Fatal(err)
	}
	for results := range output {
		for _, r := range results {
			if r.Err != nil {
				fmt.Println("failed")
				continue
			}
			fmt.Println(r.Value)
		}
	}
	// Output:
	// 1
	// 2
	// failed
	// 3
}

func ExampleGatherSlices() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	q, err := bridge.ScatterSeq(ctx, ex, func(yield func(int) bool) {
		for i := range 100_000 {
			if !yield(i) {
				return
			}
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	output, err := bridge.GatherSlices(ctx, q)
	if err != nil {
		log.Fatal(err)
	}
	n := 0
	for results := range output {
		n += len(results)
	}
	fmt.Println(n)
	// Output: 100000
}
