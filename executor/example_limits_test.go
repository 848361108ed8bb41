package executor_test

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// exampleLimited runs numbers through a function and prints the results.
func exampleLimited(f workers.Func[int, int], numbers []int, opts ...executor.MapOption) {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	if err := ex.Register(f); err != nil {
		log.Fatal(err)
	}
	results, err := executor.Map(ctx, f, exampleQueue(ctx, ex, numbers...), opts...)
	if err != nil {
		log.Fatal(err)
	}
	for x, err := range bridge.All(ctx, results) {
		fmt.Println(x, err)
	}
}

// A database takes one call at a time, of all workers together.
func ExampleMaxConcurrency() {
	var running atomic.Int64
	query := workers.Define("query", func(_ context.Context, x int) (int, error) {
		defer running.Add(-1)
		if n := running.Add(1); n > 1 {
			return 0, fmt.Errorf("%d calls run at once", n)
		}
		return 10 * x, nil
	})
	exampleLimited(query, []int{1, 2, 3}, executor.MaxConcurrency(1))
	// Output:
	// 10 <nil>
	// 20 <nil>
	// 30 <nil>
}

// A service allows 50 calls a second, of all workers together. The calls begin evenly spread.
func ExampleRateLimit() {
	fetch := workers.Define("fetch", func(_ context.Context, x int) (int, error) { return 10 * x, nil })
	begin := time.Now()
	exampleLimited(fetch, []int{1, 2, 3}, executor.RateLimit(50, time.Second))
	fmt.Println(time.Since(begin) >= 40*time.Millisecond)
	// Output:
	// 10 <nil>
	// 20 <nil>
	// 30 <nil>
	// true
}

// A service allows 60 calls an hour, and three of them at once after a pause.
func ExampleBurst() {
	fetch := workers.Define("fetch", func(_ context.Context, x int) (int, error) { return 10 * x, nil })
	exampleLimited(fetch, []int{1, 2, 3}, executor.RateLimit(60, time.Hour), executor.Burst(3))
	// Output:
	// 10 <nil>
	// 20 <nil>
	// 30 <nil>
}

// Each call of insert gets two rows, and waits for the second one for at most 10 ms.
func ExampleBatch() {
	insert := workers.DefineBatch("insert", func(_ context.Context, rows []int) ([]int, error) {
		sizes := make([]int, len(rows))
		for i := range sizes {
			sizes[i] = len(rows)
		}
		return sizes, nil
	})
	exampleLimited(insert, []int{1, 2, 3, 4, 5}, executor.Batch(2, 10*time.Millisecond))
	// Output:
	// 2 <nil>
	// 2 <nil>
	// 2 <nil>
	// 2 <nil>
	// 1 <nil>
}
