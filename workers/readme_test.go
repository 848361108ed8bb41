package workers_test

import (
	"context"
	"log"

	"github.com/dqbridge/dqbridge/workers"
)

// The worker of README.md.
func ExampleNew_readme() {
	ctx := context.Background()
	square := workers.Define("square", func(_ context.Context, x int) (int, error) { return x * x, nil })

	w, err := workers.New("redis://host:6379", workers.Concurrency(8), workers.Functions(square))
	if err != nil {
		log.Fatal(err)
	}
	err = w.Run(ctx) // until ctx is done; then it finishes its calls and returns nil
	if err != nil {
		log.Fatal(err)
	}
}
