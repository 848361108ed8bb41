package integration

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// killedFlow runs items through a function in another process, kills it, and returns the stage that
// is left.
func (s shell) killedFlow(ex *executor.Executor, function string, calls *atomic.Int64) inspect.Stage {
	s.t.Helper()
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd, told := s.start("", out, bytes.NewReader(lines(20_000)), "run", function)
	testkit.Eventually(s.t, func() bool { return calls.Load() > 100 }, "the flow runs")
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		s.t.Fatal(err, told)
	}
	_ = s.end(cmd)
	stages, err := ex.Stages(s.t.Context())
	if err != nil || len(stages) != 1 {
		s.t.Fatalf("%v, %v", stages, err)
	}
	return stages[0]
}

// Workers do not process the items of a killed process: its flow costs no call until another
// process gathers it.
func TestFlowOfKilledProcessIsPaused(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = raw.Close() })
	var calls atomic.Int64
	slow := workers.Define("slow", func(ctx context.Context, x string) (string, error) {
		calls.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
		return x, ctx.Err()
	})
	ex, err := executor.New(t.Context(), server.URL(), executor.Lease(time.Second), executor.Logger(slog.New(slog.DiscardHandler)))
	if err == nil {
		err = ex.Register(slow, identity)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	stage := shell{t, server.URL()}.killedFlow(ex, "slow", &calls)
	testkit.Eventually(t, func() bool {
		return strings.HasPrefix(raw.HGet(t.Context(), "{dq:0}:stages", stage.ID).Val(), `{"paused":true,`)
	}, "the flow is paused")
	showsDeadGather(t, ex, stage)
	work := func() { // of other flows
		t.Helper()
		other, err := executor.Submit(t.Context(), ex, identity, 1)
		if err == nil {
			_, err = other.Result(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	work() // the worker has read the hint of the pause, which came before the one of this stage
	pending := func() int64 { return raw.XPending(t.Context(), "{dq:0}:q:"+stage.In[0], "w").Val().Count }
	testkit.Eventually(t, func() bool { return pending() == 0 }, "the worker has nothing of it")
	before := calls.Load()
	for range 50 {
		work()
	}
	if after := calls.Load(); after != before {
		t.Errorf("%d calls were made for the flow of a killed process", after-before)
	}
	comeBack(t, ex, stage, func() bool { return calls.Load() > before+100 })
}

// showsDeadGather checks the flow of a killed process in a snapshot.
func showsDeadGather(t *testing.T, ex *executor.Executor, stage inspect.Stage) {
	t.Helper()
	s, err := ex.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(s.Queues, func(q inspect.Queue) bool { return q.Name == stage.Out[0] })
	if at < 0 || s.Queues[at].Gather == nil {
		t.Fatalf("the queues are %+v", s.Queues)
	}
	if p := s.Queues[at].Gather; p.State != inspect.Dead || p.PID == 0 || p.Host == "" {
		t.Errorf("the gather of a killed process is %+v", p)
	}
	if f := s.Flows(); len(f) != 1 || f[0].State != "paused" || !strings.Contains(f[0].Why, "slow") || f[0].Waiting == 0 {
		t.Errorf("the flows are %+v", f)
	}
}

// comeBack gathers the flow of a killed process until enough returns true, and deletes it.
func comeBack(t *testing.T, ex *executor.Executor, stage inspect.Stage, enough func() bool) {
	t.Helper()
	left, err := executor.Open[string](t.Context(), ex, stage.Out[0])
	if err != nil {
		t.Fatal(err)
	}
	for v, err := range bridge.All(t.Context(), left) {
		if err != nil || v == "" {
			t.Fatalf("%q, %v", v, err)
		}
		if enough() {
			break
		}
	}
	if err := left.Delete(t.Context()); err != nil {
		t.Error(err)
	}
}
