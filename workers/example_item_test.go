package workers_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// run sends values through a function on a broker in this process, and prints the results.
func run[In, Out any](f workers.Func[In, Out], values []In, opts ...bridge.ScatterOption) {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(f); err != nil {
		log.Fatal(err)
	}
	queue, err := bridge.ScatterSeq(ctx, ex, slices.Values(values), opts...)
	if err != nil {
		log.Fatal(err)
	}
	results, err := executor.Map(ctx, f, queue)
	if err != nil {
		log.Fatal(err)
	}
	for v, err := range bridge.All(ctx, results) {
		fmt.Println(v, err)
	}
}

// Source and offset of an item are an idempotency key: they are the same in every attempt.
func ExampleItemFrom() {
	pay := workers.Define("pay", func(ctx context.Context, amount int) (string, error) {
		item, ok := workers.ItemFrom(ctx)
		if !ok {
			return "", errors.New("no worker calls this function")
		}
		return fmt.Sprintf("%s-%d: %d", item.Source, item.Offset, amount), nil
	})
	run(pay, []int{100, 250}, bridge.Name("orders"), bridge.DurableSource("shop-7"), bridge.Seal())
	// Output:
	// shop-7-0: 100 <nil>
	// shop-7-1: 250 <nil>
}

// An API takes at most two ids in a request.
func ExampleBatchSize() {
	names := workers.DefineBatch("names", func(_ context.Context, ids []int) ([]string, error) {
		if len(ids) > 2 {
			return nil, fmt.Errorf("%d ids in a request", len(ids))
		}
		found := make([]string, len(ids))
		for i, id := range ids {
			found[i] = fmt.Sprint("user-", id)
		}
		return found, nil
	}, workers.BatchSize(1, 2))
	run(names, []int{7, 8, 9})
	// Output:
	// user-7 <nil>
	// user-8 <nil>
	// user-9 <nil>
}

// A model takes at most 8 KiB of text at once, and any number of texts.
func ExampleBatchBytes() {
	lengths := workers.DefineBatch("lengths", func(_ context.Context, texts []string) ([]int, error) {
		found, all := make([]int, len(texts)), 0
		for i, text := range texts {
			found[i], all = len(text), all+len(text)
		}
		if all > 8<<10 {
			return nil, fmt.Errorf("%d bytes at once", all)
		}
		return found, nil
	}, workers.BatchBytes(8<<10))
	run(lengths, []string{strings.Repeat("a", 5000), strings.Repeat("b", 6000)})
	// Output:
	// 5000 <nil>
	// 6000 <nil>
}

// A worker begins no item while its disk is nearly full; other workers get the items.
func ExamplePauseIf() {
	free := func() int { return 1 << 30 }
	w, err := workers.New("redis://127.0.0.1:6379", workers.PauseIf(func() error {
		if n := free(); n < 100<<20 {
			return fmt.Errorf("%d bytes of disk are left", n)
		}
		return nil
	}))
	fmt.Println(w != nil, err)
	// Output: true <nil>
}

// Workers of two versions in one fleet are warned of each other.
func ExampleVersion() {
	f := workers.Define("score", func(_ context.Context, x int) (int, error) { return 3 * x, nil }, workers.Version("3"))
	fmt.Println(f.Name(), f.Err())
	// Output: score <nil>
}
