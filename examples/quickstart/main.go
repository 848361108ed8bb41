// Command quickstart squares numbers on a broker inside this process. It is the program of README.md:
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

var square = workers.Define("square", func(_ context.Context, x int) (int, error) {
	if x == 3 {
		return 0, errors.New("three is not for me")
	}
	return x * x, nil
})

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	ex, err := executor.New(ctx, "") // a broker in this process; or redis://host:6379
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	if err := ex.Register(square); err != nil { // this process is a worker too
		return err
	}

	in := make(chan int)
	numbers, err := bridge.Scatter(ctx, ex, in) // a channel becomes a queue
	if err != nil {
		return err
	}
	squares, err := executor.Map(ctx, square, numbers) // a stage
	if err != nil {
		return err
	}
	out, err := bridge.Gather(ctx, squares) // a queue becomes a channel
	if err != nil {
		return err
	}

	go func() {
		defer close(in) // the end of the input is the end of the output
		for i := range 5 {
			select {
			case in <- i:
			case <-numbers.Done(): // the scatter failed: numbers.Err() is the reason
				return
			}
		}
	}()
	for result := range out {
		fmt.Println(result.Value, result.Err)
	}
	return nil
}
