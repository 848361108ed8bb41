package bridge_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// Lingering items are sent when their time is over, when the input ends, and when a full batch has
// collected.
func TestLinger(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		in := make(chan int)
		out := must(bridge.Gather(t.Context(), must(bridge.Scatter(t.Context(), ex, in, bridge.Linger(20*time.Millisecond)))(t)))(t)
		for i := range 3 {
			in <- i
			if r := <-out; r.Value != i || r.Err != nil {
				t.Errorf("result %d is %+v", i, r)
			}
		}
		close(in)
		long := make(chan int)
		q := must(bridge.Scatter(t.Context(), ex, long, bridge.Linger(time.Hour)))(t)
		for i := range 5 {
			long <- i
		}
		if n := must(q.Len(t.Context()))(t); n != 0 {
			t.Errorf("%d items did not linger", n)
		}
		const many = 200_000
		go func() {
			defer close(long)
			for i := range many {
				long <- i
			}
		}()
		waitFor(t, func() bool { return must(q.Len(t.Context()))(t) > 0 })
		if got := values(t, q); len(got) != 5+many {
			t.Errorf("%d results", len(got))
		}
		want(t, values(t, scatter(t, ex, upTo(1000), bridge.Linger(time.Hour))), upTo(1000)...)
	})
}

func TestMaxBatch(t *testing.T) {
	url := namespace(t)
	ex := connect(t, url)
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
	defer raw.Close()
	q := scatter(t, ex, upTo(20_000), bridge.MaxBatch(7))
	if err := ex.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	stream := testkit.Keys(t, testkit.SharedRedis(t).URL(), "*:q:"+q.Name())[0]
	entries := raw.XRange(t.Context(), stream, "-", "+").Val()
	for _, e := range entries {
		if n, err := strconv.Atoi(fmt.Sprint(e.Values["n"])); err != nil || n > 7 {
			t.Fatalf("a batch has %v items", e.Values["n"])
		}
	}
	if len(entries) < 20_000/7 {
		t.Errorf("%d batches", len(entries))
	}
	want(t, values(t, q), upTo(20_000)...)
}
