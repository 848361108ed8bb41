package operate_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/operate"
	"github.com/dqbridge/dqbridge/workers"
)

var same = workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil })

// runs starts a stage and waits until it runs. It returns the channel of its items, and a function that
// counts those that wait.
func (s site) runs(t *testing.T) (in chan int, waiting func() int) {
	t.Helper()
	in = make(chan int)
	q, err := bridge.Scatter(t.Context(), s.ex, in, bridge.Name("numbers"), bridge.MaxBatch(1))
	if err == nil {
		_, err = executor.Map(t.Context(), workers.Remote[int, int]("same"), q, executor.Name("results"))
	}
	if err != nil {
		t.Fatal(err)
	}
	in <- 0
	waiting = func() int { n, _ := q.Len(t.Context()); return n }
	testkit.Eventually(t, func() bool { return waiting() == 0 }, "the stage runs")
	return in, waiting
}

// A worker does not read a paused stage: otherwise it would put back each entry.
func TestPausedStageIsNotRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, same)
	in, waiting := s.runs(t)
	defer close(in)
	if _, err := s.o.Pause(t.Context(), "results", operate.Act{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		in <- 1
		return waiting() > 20
	}, "the items wait")
	queues, err := s.o.Inspector().Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queues {
		if q.Name == "numbers" && q.Requeued > 2 { // read before the worker knew of the pause
			t.Errorf("the worker reads the paused stage and puts back its items: %+v", q)
		}
	}
	if _, err := s.o.Resume(t.Context(), "results", operate.Act{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return waiting() == 0 }, "the items run")
}

// A pause holds although its hint was lost: a worker also looks at its stages without one.
func TestPauseHoldsWithoutHint(t *testing.T) {
	t.Parallel()
	s := newSite(t, same)
	in, waiting := s.runs(t)
	defer close(in)
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
	defer raw.Close()
	keys := testkit.Keys(t, testkit.SharedRedis(t).URL(), "*"+s.ns+"*:stages")
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

// A worker that hears of a pause and of a cancel at once goes on with no item of the paused stage.
func TestPauseComesBeforeTheCancelBehindIt(t *testing.T) {
	t.Parallel()
	proxy := testkit.NewProxy(t, testkit.SharedRedis(t).Addr())
	s := newSiteBehind(t, proxy.URL(), 10*time.Second, waits)
	s.flow(t)
	call := s.running(t)
	proxy.Pause()
	if _, err := s.o.Pause(t.Context(), "numbers", operate.Act{}); err != nil {
		t.Fatal(err)
	}
	canceled := make(chan error, 1)
	go func() {
		_, err := s.o.Cancel(t.Context(), call.Source, 2, operate.Act{})
		canceled <- err
	}()
	testkit.Eventually(t, func() bool {
		now, err := s.o.Inspector().Snapshot(t.Context())
		return err == nil && now.Workers[0].Mailbox >= 2
	}, "both hints are there")
	proxy.Resume()
	if err := <-canceled; err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		now, err := s.o.Inspector().Snapshot(t.Context())
		return err == nil && now.Flows()[0].State == "paused" && now.Flows()[0].Running == 0
	}, "the flow is paused")
	if items, err := s.o.Purge(t.Context(), "numbers", operate.Act{}, nil); err != nil || items != 3 {
		t.Errorf("%d items have not run, %v", items, err)
	}
}
