package workers_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// An entry that several workers have died with runs alone, for any number of slots, so that the
// next crash has one cause.
func TestSuspectsRunOneAtATime(t *testing.T) {
	var running, most atomic.Int64
	alone := workers.Define("alone", func(_ context.Context, x int) (int, error) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer running.Add(-1)
		<-time.After(5 * time.Millisecond) // others would begin meanwhile
		return x, nil
	})
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	ex, err := executor.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	in := make(chan int, 12)
	for x := range cap(in) {
		in <- x
	}
	close(in)
	q, err := bridge.Scatter(t.Context(), ex, in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), alone, q)
	if err != nil {
		t.Fatal(err)
	}
	if err := ex.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	suspect(t, url, q.Name())
	w, err := workers.New(url, workers.Concurrency(4), workers.Functions(alone))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	want := 0
	for v, err := range bridge.All(t.Context(), out) {
		if err != nil || v != want {
			t.Errorf("result %d is %d, %v", want, v, err)
		}
		want++
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if want != 12 || most.Load() != 1 {
		t.Errorf("%d results, %d ran at once", want, most.Load())
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}

// suspect lets a worker die twice with all entries of a queue.
func suspect(t *testing.T, url, queue string) {
	t.Helper()
	c, err := broker.Open(url, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range broker.Suspicious {
		if _, err := c.Take(t.Context(), "dead", 100, 100, []broker.Route{{In: queue}}); err != nil {
			t.Fatal(err)
		}
		if err := c.Requeue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
