package executor_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A worker is in each partition: a snapshot counts its death once, and the worker at the queues once.
func TestSnapshotCountsWorkersOfPartitionsOnce(t *testing.T) {
	t.Parallel()
	server, ns := testkit.SharedRedis(t), testkit.Namespace(t)
	url := server.URL() + "/?partitions=2&ns=" + ns
	ex, err := executor.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer raw.Close()
	for key, deaths := range map[string]int{":0}:watcher": 3, ":1}:watcher": 5} {
		if err := raw.HSet(t.Context(), "{"+ns+key, "deaths", deaths).Err(); err != nil {
			t.Fatal(err)
		}
	}
	same := workers.Define("same", func(_ context.Context, n int) (int, error) { return n, nil })
	w, err := workers.New(url, workers.Functions(same))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	s, err := ex.Snapshot(t.Context())
	if err != nil || s.WorkerDeaths != 5 || s.AtQueues != 1 {
		t.Errorf("%d deaths, %d workers at queues, %v", s.WorkerDeaths, s.AtQueues, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
