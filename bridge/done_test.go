package bridge_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

func TestDoneTellsAProducerThatItsScatterFailed(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		deleted, other := make(chan int), make(chan int)
		q := must(bridge.Scatter(t.Context(), ex, deleted, bridge.Name("deleted")))(t)
		beside := must(bridge.Scatter(t.Context(), ex, other, bridge.Name("other")))(t)
		if err := errors.Join(q.Err(), ex.Delete(t.Context(), "deleted")); err != nil {
			t.Fatal(err)
		}
		for sending := true; sending; {
			select {
			case deleted <- 1:
			case <-q.Done():
				sending = false
			case <-time.After(time.Minute):
				t.Fatal("the producer still waits")
			}
		}
		if err := q.Err(); !errors.Is(err, executor.ErrQueueNotFound) {
			t.Errorf("the scatter failed with %v", err)
		}
		select {
		case <-beside.Done():
			t.Errorf("another scatter has ended too: %v", beside.Err())
		case other <- 1:
		}
		close(other)
		<-beside.Done()
		if err := beside.Err(); err != nil {
			t.Errorf("a scatter that stored everything ended with %v", err)
		}
		opened := must(executor.Open[int](t.Context(), ex, "other"))(t)
		if opened.Done() != nil || opened.Err() != nil {
			t.Error("a queue that no scatter returned has a Done channel")
		}
		deleteAll(t, ex, "other")
	})
}

// waitedFor is a context that tells when a call begins to wait for its end.
type waitedFor struct {
	context.Context
	begun chan struct{}
}

func (c waitedFor) Done() <-chan struct{} {
	c.begun <- struct{}{}
	return c.Context.Done()
}

func TestFlushReportsTheScattersItWaitedFor(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		ctx, cancel := context.WithCancel(t.Context())
		earlier := must(bridge.Scatter(ctx, ex, make(chan int)))(t)
		cancel()
		<-earlier.Done()
		in := make(chan int)
		must(bridge.Scatter(t.Context(), ex, in))(t)
		flushed := make(chan error, 1)
		go func() { flushed <- ex.Flush(t.Context()) }()
		in <- 1
		close(in)
		if err := <-flushed; err != nil {
			t.Errorf("Flush tells of a scatter that had ended before: %v", err)
		}
		if err := ex.Flush(t.Context()); err != nil {
			t.Errorf("Flush without a scatter under way: %v", err)
		}
		short, stop := context.WithCancelCause(t.Context())
		full, late := errors.New("full"), errors.New("late")
		var fail []context.CancelCauseFunc
		for range 2 {
			ctx, cancel := context.WithCancelCause(t.Context())
			fail = append(fail, cancel)
			must(bridge.Scatter(ctx, ex, make(chan int)))(t)
		}
		stop(late)
		if err := ex.Flush(short); !errors.Is(err, late) {
			t.Errorf("Flush whose context has ended: %v", err)
		}
		waits := waitedFor{t.Context(), make(chan struct{}, 100)}
		go func() { flushed <- ex.Flush(waits) }()
		<-waits.begun
		fail[0](full)
		fail[1](late)
		if err := <-flushed; !errors.Is(err, full) || !errors.Is(err, late) {
			t.Errorf("Flush of two scatters that fail: %v", err)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
		if err := ex.Flush(t.Context()); !errors.Is(err, executor.ErrClosed) {
			t.Errorf("Flush after Close: %v", err)
		}
	})
}
