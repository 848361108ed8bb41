package workers_test

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A worker waits for many queues with one read, which fails as a whole if one of them is gone or is
// no queue any more. The others are served all the same.
func TestASickQueueStopsNoOther(t *testing.T) {
	t.Parallel()
	same := workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil })
	for what, harm := range map[string]func(raw *redis.Client, key string) error{
		"deleted":         func(raw *redis.Client, key string) error { return raw.Del(context.Background(), key).Err() },
		"of another type": func(raw *redis.Client, key string) error { return raw.Set(context.Background(), key, "x", 0).Err() },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ns := testkit.Namespace(t)
			url := testkit.SharedRedis(t).URL() + "/?ns=" + ns
			raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
			defer raw.Close()
			w := must(workers.New(url, workers.Concurrency(2), workers.Functions(same)))(t)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- w.Run(ctx) }()
			ex := must(executor.New(t.Context(), url))(t)
			var ins [2]chan int
			var results [2]<-chan bridge.Result[int]
			var names [2]string
			for i := range ins {
				ins[i] = make(chan int)
				q := must(bridge.Scatter(t.Context(), ex, ins[i]))(t)
				names[i] = q.Name()
				results[i] = must(bridge.Gather(t.Context(), must(executor.Map(t.Context(), same, q))(t)))(t)
				ins[i] <- 1
				if r := <-results[i]; r.Value != 1 || r.Err != nil {
					t.Fatalf("queue %d begins with %+v", i, r)
				}
			}
			if err := harm(raw, "{"+ns+":0}:q:"+names[0]); err != nil {
				t.Fatal(err)
			}
			for x := range 10 {
				ins[1] <- x
				if r := <-results[1]; r.Value != x || r.Err != nil {
					t.Fatalf("beside it %d is %+v", x, r)
				}
			}
			stop()
			err := raw.Del(t.Context(), "{"+ns+":0}:q:"+names[0]).Err() // the test has made it and deletes it
			if err := errors.Join(err, <-ended, ex.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}
