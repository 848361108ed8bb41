package bridge

import (
	"context"
	"sync"
)

// Multiplex copies a channel into n new channels with room for buffer values: each gets every
// value, in order. A full channel holds all of them back. Multiplex closes them when ch is closed
// or ctx ends. If ctx.Err returns nil after the last value, all copies are complete. For n below 1
// it returns nil. It does not block.
func Multiplex[T any](ctx context.Context, n int, ch <-chan T, buffer int) []<-chan T {
	if n < 1 {
		return nil
	}
	ctx = orEndless(ctx)
	outs := make([]chan T, n)
	results := make([]<-chan T, n)
	for i := range outs {
		outs[i] = make(chan T, max(0, buffer))
		results[i] = outs[i]
	}
	go func() {
		defer func() {
			for _, out := range outs {
				close(out)
			}
		}()
		for v := range until(ctx, ch) {
			for _, out := range outs {
				select {
				case out <- v:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return results
}

// Merge sends the values of several channels into one new channel. The order of each channel is
// kept; between channels there is no order. Merge closes the new channel when all others are closed
// or ctx ends. If ctx.Err returns nil after the last value, the result is complete. It does not
// block.
func Merge[T any](ctx context.Context, chs ...<-chan T) <-chan T {
	ctx = orEndless(ctx)
	out := make(chan T)
	var group sync.WaitGroup
	for _, ch := range chs {
		group.Go(func() { Push(ctx, ch, out) })
	}
	go func() {
		group.Wait()
		close(out)
	}()
	return out
}

// Push sends the values of one channel into another one, and returns when from is closed or ctx
// ends. It closes neither. If ctx.Err returns nil then, it has sent all values.
func Push[T any](ctx context.Context, from <-chan T, to chan<- T) {
	ctx = orEndless(ctx)
	for v := range until(ctx, from) {
		select {
		case to <- v:
		case <-ctx.Done():
			return
		}
	}
}

// orEndless returns ctx, or a context that never ends if ctx is nil: these functions have no error
// to return, and a panic in one of their goroutines would end the process.
func orEndless(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background() //nolint:forbidigo // the caller has none
	}
	return ctx
}

// until is the values of a channel until ctx ends.
func until[T any](ctx context.Context, ch <-chan T) func(yield func(T) bool) {
	return func(yield func(T) bool) {
		for {
			select {
			case v, ok := <-ch:
				if !ok || !yield(v) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
