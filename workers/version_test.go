package workers_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A diary is a log that can be read while it is written.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (d *diary) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(line)
}

func (d *diary) says(text string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Count(d.text.String(), text)
}

// A worker that is older than a stage takes nothing for it, though it has the
// function, and says so once. What waits is there for a newer one.
func TestAnOlderWorkerLeavesANewerStageAlone(t *testing.T) {
	t.Parallel()
	ns := testkit.Namespace(t)
	url, prefix := testkit.SharedRedis(t).URL()+"/?ns="+ns, "{"+ns+":0}:"
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
	defer raw.Close()
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	ex, err := executor.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{41}))
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), inc, q)
	if err != nil {
		t.Fatal(err)
	}
	if err := ex.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	record := raw.HGet(t.Context(), prefix+"stages", out.Name()).Val()
	newer := strings.Replace(record, `"v":1`, `"v":2`, 1)
	if newer == record {
		t.Fatalf("a stage without a version: %q", record)
	}
	become := func(record string) {
		t.Helper()
		if err := raw.HSet(t.Context(), prefix+"stages", out.Name(), record).Err(); err != nil {
			t.Fatal(err)
		}
		for _, id := range raw.ZRange(t.Context(), prefix+"workers", 0, -1).Val() {
			if err := raw.XAdd(t.Context(), &redis.XAddArgs{Stream: prefix + "p:" + id, Values: []any{"m", "stages", "w", out.Name()}}).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	become(newer)

	var log diary
	w, err := workers.New(url, workers.Functions(inc), workers.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	read := func() int64 { // by the worker, of its mailbox
		groups := raw.XInfoGroups(t.Context(), prefix+"p:"+raw.ZRange(t.Context(), prefix+"workers", 0, -1).Val()[0]).Val()
		return groups[0].EntriesRead
	}
	for range 3 {
		before := read()
		become(newer)
		testkit.Eventually(t, func() bool { return read() > before }, "the worker looks at the stages again")
	}
	const text = "a stage of another version is left alone"
	testkit.Eventually(t, func() bool { return log.says(text) > 0 }, "it says so")
	if waiting, err := q.Len(t.Context()); waiting != 1 || err != nil || log.says(text) != 1 {
		t.Errorf("%d items wait, %v; it was said %d times", waiting, err, log.says(text))
	}

	become(record)
	for v, err := range bridge.All(t.Context(), out) {
		if v != 42 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}
