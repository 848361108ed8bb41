package executor_test

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

// The functions of the examples.
var (
	exampleInc    = workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	exampleDouble = workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	exampleAdd    = workers.Define2("add", func(_ context.Context, a, b int) (int, error) { return a + b, nil })
)

// exampleExecutor makes an embedded Executor that holds the functions.
func exampleExecutor(ctx context.Context) *executor.Executor {
	ex, err := executor.New(ctx, "")
	if err == nil {
		err = ex.Register(exampleInc, exampleDouble, exampleAdd)
	}
	if err != nil {
		log.Fatal(err)
	}
	return ex
}

// exampleQueue makes a remote queue of some numbers.
func exampleQueue(ctx context.Context, ex *executor.Executor, numbers ...int) *executor.Queue[int] {
	q, err := bridge.ScatterSeq(ctx, ex, slices.Values(numbers))
	if err != nil {
		log.Fatal(err)
	}
	return q
}

func ExampleNew() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "") // embedded: all in this process
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ex)
	fmt.Println(ex.Close())

	_, err = executor.New(ctx, "http://127.0.0.1:6379")
	fmt.Println(errors.Is(err, executor.ErrInvalidURL))
	// Output:
	// <Executor: scheduler= workers=1 threads=4>
	// <nil>
	// true
}

func ExampleMap() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	remoteQ := exampleQueue(ctx, ex, 1, 2, 10)

	incQ, err := executor.Map(ctx, exampleInc, remoteQ)
	if err != nil {
		log.Fatal(err)
	}
	doubleQ, err := executor.Map(ctx, exampleDouble, incQ, executor.Retries(2))
	if err != nil {
		log.Fatal(err)
	}
	// A queue has one consumer: a second one is refused.
	_, err = executor.Map(ctx, exampleDouble, incQ)
	fmt.Println(errors.Is(err, executor.ErrConsumerExists))

	for v, err := range bridge.All(ctx, doubleQ) {
		fmt.Println(v, err)
	}
	// Output:
	// true
	// 4 <nil>
	// 6 <nil>
	// 22 <nil>
}

// Map2 ends with the shorter queue.
func ExampleMap2() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	sums, err := executor.Map2(ctx, exampleAdd, exampleQueue(ctx, ex, 1, 2, 3), exampleQueue(ctx, ex, 10, 20))
	if err != nil {
		log.Fatal(err)
	}
	for v, err := range bridge.All(ctx, sums) {
		fmt.Println(v, err)
	}
	// Output:
	// 11 <nil>
	// 22 <nil>
}

func ExampleSubmit() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	future, err := executor.Submit(ctx, ex, exampleInc, 10)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(future.Result(ctx))
	fmt.Println(future.Done())
	// Output:
	// 11 <nil>
	// true
}

// A chain is one call for the caller. Its functions may be in different workers.
func ExampleChain() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	price := workers.Define("price", func(_ context.Context, item string) (int, error) { return 100 * len(item), nil })
	label := workers.Define("label", func(_ context.Context, cents int) (string, error) {
		return fmt.Sprintf("EUR %d.%02d", cents/100, cents%100), nil
	})
	if err := ex.Register(price, label); err != nil {
		log.Fatal(err)
	}
	quote := executor.Chain(executor.Chain(price, exampleInc), label)
	future, err := executor.Submit(ctx, ex, quote, "teapot")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(future.Result(ctx))
	// Output: EUR 6.01 <nil>
}

func ExampleMapSlice() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	futures, err := executor.MapSlice(ctx, ex, exampleInc, []int{1, 2, 3})
	if err != nil {
		log.Fatal(err)
	}
	for _, future := range futures {
		fmt.Println(future.Result(ctx))
	}
	// Output:
	// 2 <nil>
	// 3 <nil>
	// 4 <nil>
}

// The first error is returned beside the values of all others.
func ExampleGatherSlice() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	even := workers.Define("even", func(_ context.Context, x int) (int, error) {
		if x%2 != 0 {
			return 0, fmt.Errorf("%d is odd", x)
		}
		return x, nil
	})
	if err := ex.Register(even); err != nil {
		log.Fatal(err)
	}
	futures, err := executor.MapSlice(ctx, ex, even, []int{2, 3, 4})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(executor.GatherSlice(ctx, futures))
	// Output: [2 0 4] item 1: even: 3 is odd
}

func ExampleAsCompleted() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	gate := make(chan struct{})
	wait := workers.Define("wait", func(_ context.Context, x int) (int, error) {
		if x == 1 {
			<-gate
		}
		return x, nil
	})
	if err := ex.Register(wait); err != nil {
		log.Fatal(err)
	}
	var futures []*executor.Future[int]
	for x := range 2 {
		future, err := executor.Submit(ctx, ex, wait, 1-x)
		if err != nil {
			log.Fatal(err)
		}
		futures = append(futures, future)
	}
	for future := range executor.AsCompleted(ctx, futures) {
		v, err := future.Result(ctx)
		fmt.Println(v, err)
		if v == 0 {
			close(gate)
		}
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
}

// A large value stays in Redis until Result fetches it.
func ExampleFutures() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	for future, err := range executor.Futures(ctx, exampleQueue(ctx, ex, 7, 8)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(future.Result(ctx))
	}
	// Output:
	// 7 <nil>
	// 8 <nil>
}

// Each queue gets all items.
func ExampleMultiplex() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	queues, err := executor.Multiplex(ctx, 2, exampleQueue(ctx, ex, 10, 20))
	if err != nil {
		log.Fatal(err)
	}
	incQ, err := executor.Map(ctx, exampleInc, queues[0])
	if err != nil {
		log.Fatal(err)
	}
	doubleQ, err := executor.Map(ctx, exampleDouble, queues[1])
	if err != nil {
		log.Fatal(err)
	}
	for _, q := range []*executor.Queue[int]{incQ, doubleQ} {
		for v, err := range bridge.All(ctx, q) {
			fmt.Println(v, err)
		}
	}
	// Output:
	// 11 <nil>
	// 21 <nil>
	// 20 <nil>
	// 40 <nil>
}

// The order of each queue is kept; between them there is none.
func ExampleMerge() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	merged, err := executor.Merge(ctx, exampleQueue(ctx, ex, 1, 2), exampleQueue(ctx, ex, 10, 20))
	if err != nil {
		log.Fatal(err)
	}
	for v, err := range bridge.All(ctx, merged) {
		fmt.Println(v, err)
	}
	// Unordered output:
	// 1 <nil>
	// 2 <nil>
	// 10 <nil>
	// 20 <nil>
}

func ExampleOpen() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	_, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2, 3}), bridge.Name("numbers"), bridge.Seal())
	if err != nil {
		log.Fatal(err)
	}

	q, err := executor.Open[int](ctx, ex, "numbers") // in this process or in any other
	if err != nil {
		log.Fatal(err)
	}
	for v, err := range bridge.All(ctx, q) {
		fmt.Println(v, err)
	}
	_, err = executor.Open[string](ctx, ex, "numbers")
	fmt.Println(errors.Is(err, executor.ErrTypeMismatch))
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
	// true
}
