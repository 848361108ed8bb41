package bridge_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// FLUSHALL in the middle of a stream ends the scatter and the gather with an error. Later flows
// work.
func TestFlushAllIsToldToBothEnds(t *testing.T) {
	for _, sends := range []bool{true, false} { // the producer, when it happens
		t.Run(fmt.Sprintf("sends=%v", sends), func(t *testing.T) {
			t.Parallel()
			server := testkit.StartRedis(t)
			ex := must(executor.New(t.Context(), server.URL(), executor.Lease(lease)))(t)
			register(t, ex, inc)
			in, flushed := make(chan int), make(chan struct{})
			go feed(t, in, flushed)
			q := must(bridge.Scatter(t.Context(), ex, in))(t)
			results := must(bridge.Gather(t.Context(), stage(t, inc, q)))(t)
			for i := range 100 {
				if r := <-results; r.Err != nil || r.Value != i+1 {
					t.Fatalf("%v in the place of %d", r, i+1)
				}
			}
			raw := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2})
			defer raw.Close()
			if err := raw.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if sends {
				close(flushed)
			}
			select {
			case r := <-results:
				if !errors.Is(r.Err, executor.ErrQueueNotFound) || bridge.IsItemError(r.Err) {
					t.Errorf("the gather is told %v", r)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the gather is told nothing")
			}
			if !sends {
				close(flushed)
			}
			<-q.Done()
			if err := q.Err(); !errors.Is(err, executor.ErrQueueNotFound) {
				t.Errorf("the producer is told %v", err)
			}
			goesOn(t, ex)
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// feed sends a hundred numbers before an event, and as many of a hundred after it as the scatter
// takes.
func feed(t *testing.T, in chan<- int, happened <-chan struct{}) {
	t.Helper()
	defer close(in)
	for i := range 100 {
		in <- i
	}
	<-happened
	for i := range 100 {
		select {
		case in <- i:
		case <-t.Context().Done(): // the scatter does not read it any more
			return
		}
	}
}

// goesOn waits until a new stream can be made, and brings something through.
func goesOn(t *testing.T, ex *executor.Executor) {
	t.Helper()
	var q *executor.Queue[int]
	waitFor(t, func() bool { // until it learns that its registration is gone
		var err error
		q, err = bridge.ScatterSeq(t.Context(), ex, func(yield func(int) bool) { yield(1) })
		return err == nil
	})
	want(t, values(t, stage(t, inc, q)), 2)
}
