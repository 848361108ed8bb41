package workers_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// Redis has lost the completion of a batch, which is pending again with the worker that ran it. The
// worker waits for items meanwhile; only its heartbeat notices the loss.
func TestWhatRedisHasLostIsDoneAgain(t *testing.T) {
	proxy, ns := testkit.NewProxy(t, testkit.SharedRedis(t).Addr()), testkit.Namespace(t)
	const calm = 2 * time.Second // no worker counts as dead
	var calls atomic.Int64
	begun, goOn := make(chan struct{}, 2), make(chan struct{})
	f := workers.Define("f", func(_ context.Context, x int) (int, error) {
		calls.Add(1)
		begun <- struct{}{}
		<-goOn
		return x, nil
	})
	w, err := workers.New(proxy.URL()+"/?ns="+ns, workers.Concurrency(2), workers.Functions(f), workers.Lease(calm))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	ex, err := executor.New(t.Context(), testkit.SharedRedis(t).URL()+"/?ns="+ns, executor.Lease(calm))
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	in := make(chan int, 1)
	in <- 1
	q, err := bridge.Scatter(t.Context(), ex, in)
	if err != nil {
		t.Fatal(err)
	}
	key := "{" + ns + ":0}:q:" + q.Name()
	if q, err = executor.Map(t.Context(), f, q); err != nil {
		t.Fatal(err)
	}
	out, err := bridge.Gather(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
	defer raw.Close()
	before := raw.Dump(t.Context(), key).Val()
	close(goOn)
	<-out
	if err := raw.RestoreReplace(t.Context(), key, time.Duration(0), before).Err(); err != nil {
		t.Fatal(err)
	}
	<-proxy.CutAfterRequest(func(request []byte) bool { return bytes.Contains(request, []byte(":watcher")) }) // of a heartbeat
	testkit.Eventually(t, func() bool { return calls.Load() == 2 }, "the batch is done again")
	close(in)
	for r := range out {
		t.Errorf("%v comes again", r)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
