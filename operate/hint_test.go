package operate_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A pause holds although its hint was lost: a worker also looks at its stages without one.
func TestPauseHoldsWithoutHint(t *testing.T) {
	t.Parallel()
	s := newSite(t, workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil }))
	in := make(chan int)
	defer close(in)
	q, err := bridge.Scatter(t.Context(), s.ex, in, bridge.Name("numbers"), bridge.MaxBatch(1))
	if err == nil {
		_, err = executor.Map(t.Context(), workers.Remote[int, int]("same"), q, executor.Name("results"))
	}
	if err != nil {
		t.Fatal(err)
	}
	in <- 0
	waiting := func() int { n, _ := q.Len(t.Context()); return n }
	testkit.Eventually(t, func() bool { return waiting() == 0 }, "the stage runs")
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
	defer raw.Close()
	keys := testkit.Keys(t, testkit.SharedRedis(t).URL(), "*testpauseholdswithouthint*:stages")
	if len(keys) != 1 {
		t.Fatalf("the records of stages are %v", keys)
	}
	stages := keys[0]
	text, err := raw.HGet(t.Context(), stages, "results").Result()
	var record map[string]any
	if err == nil {
		err = json.Unmarshal([]byte(text), &record)
	}
	if err != nil {
		t.Fatal(err)
	}
	record["paused"], record["pause"] = true, map[string]any{"by": "ann", "at": 1}
	paused, _ := json.Marshal(record) // it came from JSON
	if err := raw.HSet(t.Context(), stages, "results", paused).Err(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		in <- 1
		return waiting() > 20
	}, "the items wait")
	if err := raw.HSet(t.Context(), stages, "results", text).Err(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return waiting() == 0 }, "the items run")
}
