package bridge_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// D6 again, in real time and on both brokers: all queues are full, the producer waits, and it
// continues when the reader reads.
func TestABoundedFlowStandsStillUntilItIsRead(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const most = 2 + 3*2 + 2*4*2 + 3 // see docs/dask.md
		in := make(chan int, 2)
		q := must(bridge.Scatter(t.Context(), ex, in, bridge.MaxSize(2)))(t)
		out := stage(t, inc, q, executor.MaxSize(3))
		var put atomic.Int64
		go func() {
			defer close(in)
			for i := range 200 {
				in <- i
				put.Add(1)
			}
		}()
		last, looks := int64(0), 0
		waitFor(t, func() bool {
			if now := put.Load(); now != last {
				last, looks = now, 0
			}
			looks++
			return looks > 100 && must(q.Len(t.Context()))(t) >= 2 && must(out.Len(t.Context()))(t) >= 3
		})
		if last > most || last < 2+2+3 {
			t.Errorf("%d were taken; at most %d may be", last, most)
		}
		want(t, values(t, out), upTo(201)[1:]...)
	}, inc)
}

func repeat(v, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = v
	}
	return all
}

// told is a writer of a log that sends each line.
type told chan string

func (l told) Write(p []byte) (int, error) {
	l <- string(bytes.TrimSpace(p))
	return len(p), nil
}

func TestTheWarningForAFunctionThatNobodyHas(t *testing.T) {
	t.Parallel()
	log := make(told, 100)
	ex := must(executor.New(t.Context(), namespace(t), executor.Logger(slog.New(slog.NewTextHandler(log, nil)))))(t)
	results := must(bridge.Gather(t.Context(), stage(t, inc, scatter(t, ex, []int{1}))))(t)
	for text := range log {
		if strings.Contains(text, "level=WARN") && strings.Contains(text, "no live worker has the function") && strings.Contains(text, "function=inc") {
			break
		}
	}
	register(t, ex, inc)
	if r := <-results; r.Value != 2 || r.Err != nil {
		t.Errorf("got %v", r)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}
