package bridge

import (
	"context"
	"iter"
	"sync"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/ahead"
	"github.com/dqbridge/dqbridge/internal/batch"
)

// ScatterSeq is Scatter for an iterator, which it calls in a goroutine of its own. The iterator
// runs up to 256 values, or about 1 MiB of strings, ahead of the encoder; an item is sent without a
// wait for the next one. ScatterSeq checks ctx between two values only, and executor.Executor.Close
// waits for an iterator that blocks.
//
// If the iterator panics or calls runtime.Goexit, the stream is aborted as if ctx had ended:
// gathers get executor.ErrTruncated behind the items stored so far, and Err of the queue returns an
// error with the text of the panic and its stack.
func ScatterSeq[T any](ctx context.Context, ex *executor.Executor, seq iter.Seq[T], opts ...ScatterOption) (*executor.Queue[T], error) {
	if seq == nil {
		return nil, errNoInput
	}
	q, s, ctx, err := newScatterer[T](ctx, ex, opts)
	if err != nil {
		return nil, err
	}
	go s.run(ctx, func(ctx context.Context) error { return s.collectSeq(ctx, seq) })
	return q, nil
}

// collectSeq reads an iterator to its end.
func (s *scatterer[T]) collectSeq(ctx context.Context, seq iter.Seq[T]) error {
	given := ahead.New(s.sizeOf)
	var pulling sync.WaitGroup
	pulling.Go(func() { pull(seq, given) })
	defer pulling.Wait()
	defer given.Close()
	var values []T
	for {
		select {
		case <-given.Some():
			var more bool
			var err error
			if values, more, err = given.Take(values); err != nil {
				return err
			}
			if err := s.addSlice(ctx, values); err != nil {
				return err
			}
			if !more {
				return s.flush(ctx)
			}
		case <-s.ready():
			s.passBatches()
		case <-s.timeout:
			s.expired = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sizeOf is about how many bytes a value has, 0 where only encoding it would tell.
func (s *scatterer[T]) sizeOf(v T) int {
	if s.typed.Sized() {
		return s.typed.Size(v)
	}
	return 0
}

// pull gives all values of an iterator, whose panic and Goexit are errors.
func pull[T any](seq iter.Seq[T], to *ahead.Buffer[T]) {
	err := errGoexit
	defer func() { to.End(err) }()
	err = contain(func() error {
		for v := range seq {
			if !to.Give(v) {
				break
			}
		}
		return nil
	})
}

// contain runs an iterator of the user and returns its panic as an error: no caller could recover
// it.
func contain(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = batch.NewCrash("the iterator", r)
		}
	}()
	return f()
}
