package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A queue for the items of one day goes two days after its last use.
func ExampleExpire() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	_, err = bridge.ScatterSeq(ctx, ex, slices.Values([]string{"apples", "pears"}), bridge.Name("orders-1207"), bridge.Expire(48*time.Hour))
	if err != nil {
		log.Fatal(err)
	}
	queues, err := ex.Queues(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(queues[0].Name, queues[0].Expires)
	// Output: orders-1207 48h0m0s
}

// Two processes feed one pipeline, which was made before. Each gets the results of its own orders.
func ExamplePrivate() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	charge := workers.Define("charge", func(_ context.Context, order string) (string, error) { return order + " charged", nil })
	if err := ex.Register(charge); err != nil {
		log.Fatal(err)
	}
	orders, err := bridge.ScatterSeq(ctx, ex, slices.Values([]string{}), bridge.Name("orders"))
	if err != nil {
		log.Fatal(err)
	}
	charged, err := executor.Map(ctx, charge, orders, executor.Name("charged"))
	if err != nil {
		log.Fatal(err)
	}
	for _, shop := range []string{"north", "south"} { // each in a process of its own
		mine, err := bridge.ScatterSeq(ctx, ex, slices.Values([]string{shop + " 1", shop + " 2"}), bridge.Name("orders"), bridge.Private("charged"))
		if err != nil {
			log.Fatal(err)
		}
		for result, err := range bridge.All(ctx, charged, bridge.ResultsOf(mine)) {
			fmt.Println(result, err)
		}
	}
	// Output:
	// north 1 charged <nil>
	// north 2 charged <nil>
	// south 1 charged <nil>
	// south 2 charged <nil>
}

// A producer is started again and continues its source behind the stored items.
func ExampleDurableSource() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	orders := []string{"apples", "pears", "plums"}
	durable := []bridge.ScatterOption{bridge.Name("orders"), bridge.DurableSource("shop-1"), bridge.Seal()}

	first, stop := context.WithCancel(ctx)
	input := make(chan string)
	queue, err := bridge.Scatter(first, ex, input, durable...)
	if err != nil {
		log.Fatal(err)
	}
	results, err := bridge.Gather(ctx, queue)
	if err != nil {
		log.Fatal(err)
	}
	input <- orders[0]
	fmt.Println((<-results).Value)
	stop() // as the end of a process does
	<-queue.Done()

	queue, err = bridge.Scatter(ctx, ex, input, durable...)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		defer close(input)
		for _, order := range orders[queue.Stored():] {
			input <- order
		}
	}()
	for r := range results {
		if !bridge.IsSourceError(r.Err) { // it says that the source was interrupted
			fmt.Println(r.Value, r.Err)
		}
	}

	_, err = bridge.Scatter(ctx, ex, input, durable...)
	var ended *executor.EndedError
	fmt.Println(errors.As(err, &ended))
	// Output:
	// apples
	// pears <nil>
	// plums <nil>
	// true
}

// The queue takes two items. New items are dropped while it is full, and each has an error in its place.
func ExampleOverflow() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	queue, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2, 3, 4}),
		bridge.MaxSize(2), bridge.MaxBatch(1), bridge.Overflow(bridge.OverflowDropNewest))
	if err != nil {
		log.Fatal(err)
	}
	if err := ex.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(queue.Dropped(ctx))
	for v, err := range bridge.All(ctx, queue) {
		fmt.Println(v, errors.Is(err, executor.ErrDropped))
	}
	// Output:
	// 2 <nil>
	// 1 false
	// 2 false
	// 0 true
	// 0 true
}

// A consumer stores results by the slice, and then acknowledges the slice.
func ExampleAckAll() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	queue, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2, 3}), bridge.Name("readings"), bridge.Seal())
	if err != nil {
		log.Fatal(err)
	}
	slices, err := bridge.GatherSlices(ctx, queue, bridge.ManualAck())
	if err != nil {
		log.Fatal(err)
	}
	sum := 0
	for results := range slices {
		for _, r := range results {
			sum += r.Value
		}
		bridge.AckAll(results)
	}
	fmt.Println(sum)
	// Output:
	// 6
}

// One order cannot be processed now and comes again, up to three times.
func ExampleMaxDeliveries() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	queue, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2}))
	if err != nil {
		log.Fatal(err)
	}
	results, err := bridge.Gather(ctx, queue, bridge.ManualAck(), bridge.MaxDeliveries(3))
	if err != nil {
		log.Fatal(err)
	}
	for r := range results {
		switch {
		case r.Value == 2:
			fmt.Println("delivery", r.Deliveries())
			r.Nack(time.Millisecond)
		case r.Err != nil:
			fmt.Println(r.Err)
			r.Ack()
		default:
			r.Ack()
		}
	}
	// Output:
	// delivery 1
	// delivery 2
	// delivery 3
	// its consumer has given it back 3 times; it is a dead letter
}

// A source of a queue that stays open ends before its input does. The stream goes on.
func ExampleIsSourceError() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	short, stop := context.WithCancel(ctx)
	queue, err := bridge.Scatter(short, ex, make(chan int), bridge.Name("numbers"))
	if err != nil {
		log.Fatal(err)
	}
	results, err := bridge.Gather(ctx, queue)
	if err != nil {
		log.Fatal(err)
	}
	stop()
	r := <-results
	fmt.Println(bridge.IsSourceError(r.Err), errors.Is(r.Err, executor.ErrTruncated), bridge.IsItemError(r.Err))
	// Output:
	// true true false
}
