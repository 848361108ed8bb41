package main

import (
	"context"
	"fmt"
	"sync"
)

// expected is the result of the i-th item of the pipeline inc, double.
func expected(i int) int { return (i + 1) * 2 }

// check fails where the i-th result is not that of the i-th item.
func check(i, result int) error {
	if want := expected(i); result != want {
		return fmt.Errorf("result %d is %d and not %d: lost, doubled or out of order", i, result, want)
	}
	return nil
}

// capacity is that of the channels between a program and its pipeline.
const capacity = 1024

// feed sends n numbers, and then closes the channel. Where nobody reads them to
// the end, the program has failed and ends.
func feed(in chan<- int, n int) {
	defer close(in)
	for i := range n {
		in <- i
	}
}

// perStage is how many goroutines a stage of channels has.
const perStage = 4

// channels is the pipeline as a program without dqbridge has it: some goroutines
// a stage, an int a send. The results are in no order.
func channels(_ context.Context, n int) error {
	in, incremented, doubled := make(chan int, capacity), make(chan int, capacity), make(chan int, capacity)
	go feed(in, n)
	go stage(in, incremented, func(x int) int { return x + 1 })
	go stage(incremented, doubled, func(x int) int { return 2 * x })
	count, sum, want := 0, 0, 0
	for x := range doubled {
		want += expected(count)
		sum += x
		count++
	}
	if count != n || sum != want {
		return fmt.Errorf("%d results for %d items, their sum is %d and not %d", count, n, sum, want)
	}
	return nil
}

func stage(in <-chan int, out chan<- int, f func(int) int) {
	defer close(out)
	var group sync.WaitGroup
	for range perStage {
		group.Go(func() {
			for x := range in {
				out <- f(x)
			}
		})
	}
	group.Wait()
}
