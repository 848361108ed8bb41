package workers_test

import (
	"bytes"
	"context"
	"errors"
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

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A record reads and writes the record of a stage, past the protocol.
type record struct {
	raw               *redis.Client
	prefix, id, found string
}

// write writes the record and tells the workers.
func (r record) write(t *testing.T, text string) {
	t.Helper()
	if err := r.raw.HSet(t.Context(), r.prefix+"stages", r.id, text).Err(); err != nil {
		t.Fatal(err)
	}
	for _, worker := range r.workers(t) {
		hint := &redis.XAddArgs{Stream: r.prefix + "p:" + worker, Values: []any{"m", "stages", "w", r.id}}
		if err := r.raw.XAdd(t.Context(), hint).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func (r record) workers(t *testing.T) []string {
	t.Helper()
	return r.raw.ZRange(t.Context(), r.prefix+"workers", 0, -1).Val()
}

// heard returns the number of hints that the worker has read.
func (r record) heard(t *testing.T) int64 {
	t.Helper()
	return r.raw.XInfoGroups(t.Context(), r.prefix+"p:"+r.workers(t)[0]).Val()[0].EntriesRead
}

// A worker that is older than a stage takes no entry of it, although it has the function, and warns
// once. The entries wait for a newer worker.
func TestAnOlderWorkerLeavesANewerStageAlone(t *testing.T) {
	t.Parallel()
	ns := testkit.Namespace(t)
	url := testkit.SharedRedis(t).URL() + "/?ns=" + ns
	stage := record{raw: redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()}), prefix: "{" + ns + ":0}:"}
	defer stage.raw.Close()
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	ex := must(executor.New(t.Context(), url))(t)
	q := must(bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{41})))(t)
	out := must(executor.Map(t.Context(), inc, q))(t)
	if err := ex.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	stage.id = out.Name()
	stage.found = stage.raw.HGet(t.Context(), stage.prefix+"stages", stage.id).Val()
	newer := strings.Replace(stage.found, `"v":1`, `"v":2`, 1)
	if newer == stage.found {
		t.Fatalf("a stage without a version: %q", newer)
	}
	stage.write(t, newer)

	var log diary
	w := must(workers.New(url, workers.Functions(inc), workers.Logger(slog.New(slog.NewTextHandler(&log, nil)))))(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	const text = "stage ignored: it has another version"
	testkit.Eventually(t, func() bool { return log.says(text) > 0 }, "it says so")
	for range 3 {
		before := stage.heard(t)
		stage.write(t, newer)
		testkit.Eventually(t, func() bool { return stage.heard(t) > before }, "it looks at the stages again")
	}
	if waiting, err := q.Len(t.Context()); waiting != 1 || err != nil || log.says(text) != 1 {
		t.Errorf("%d items wait, %v; it was said %d times", waiting, err, log.says(text))
	}
	stage.write(t, stage.found)
	for v, err := range bridge.All(t.Context(), out) {
		if v != 42 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
	}
	stop()
	if err := errors.Join(<-ended, ex.Close()); err != nil {
		t.Error(err)
	}
}
