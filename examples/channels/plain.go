package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"sync"
)

// plain is the pipeline of goroutines and channels.
func plain(ctx context.Context, lines []string, out io.Writer, problems *log.Logger) error {
	in := make(chan string)
	go func() {
		defer close(in)
		for _, line := range lines {
			select {
			case in <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	hits := stage(ctx, 4, parse, in, problems)
	reports := stage(ctx, 4, report, hits, problems)
	for text := range reports {
		fmt.Fprintln(out, text)
	}
	return context.Cause(ctx)
}

// stage calls f in n goroutines. It writes errors to problems, so a value that failed has no result.
func stage[In, Out any](ctx context.Context, n int, f func(context.Context, In) (Out, error), in <-chan In, problems *log.Logger) <-chan Out {
	out := make(chan Out)
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			for v := range in {
				result, err := f(ctx, v)
				if err != nil {
					problems.Println(err)
					continue
				}
				select {
				case out <- result:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() {
		group.Wait()
		close(out)
	}()
	return out
}
