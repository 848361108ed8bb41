//go:build !rings

// With the tag rings, a worker waits for rings in a partition of any width.

package workers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A width is a namespace with one worker, whose stages come and go.
type width struct {
	t      *testing.T
	ex     *executor.Executor
	raw    *redis.Client
	prefix string
	log    diary
	f      workers.Func[int, int]
	open   []*executor.Queue[int]
	feeds  []chan int
	outs   []<-chan bridge.Result[int]
	made   int // stages so far
}

// newWidth starts the worker. The Redis user of the worker may have fewer rights than others.
func newWidth(t *testing.T, server *testkit.Server, user string) *width {
	t.Helper()
	ns := testkit.Namespace(t)
	w := &width{
		t: t, prefix: "{" + ns + ":0}:", raw: redis.NewClient(&redis.Options{Addr: server.Addr()}),
		ex: must(executor.New(t.Context(), server.URL()+"/?ns="+ns, executor.Logger(nil)))(t),
		f:  workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil }),
	}
	t.Cleanup(func() {
		if err := w.ex.Close(); err != nil {
			t.Error(err)
		}
		_ = w.raw.Close()
	})
	startLogged(t, strings.Replace(server.URL(), "redis://", "redis://"+user, 1)+"/?ns="+ns, &w.log, w.f)
	testkit.Eventually(t, func() bool { return w.raw.ZCard(t.Context(), w.prefix+"workers").Val() == 1 }, "the worker has joined")
	return w
}

// stages makes stages until there are n, or deletes the last ones.
func (w *width) stages(n int) {
	w.t.Helper()
	for i := len(w.open); i < n; i++ {
		in := make(chan int)
		q := must(bridge.Scatter(w.t.Context(), w.ex, in, bridge.Name(fmt.Sprint("q", w.made))))(w.t)
		out := must(bridge.Gather(w.t.Context(), must(executor.Map(w.t.Context(), w.f, q))(w.t)))(w.t)
		w.open, w.feeds, w.outs, w.made = append(w.open, q), append(w.feeds, in), append(w.outs, out), w.made+1
	}
	for ; len(w.open) > n; w.open, w.feeds, w.outs = w.open[:len(w.open)-1], w.feeds[:len(w.feeds)-1], w.outs[:len(w.outs)-1] {
		if err := w.open[len(w.open)-1].Delete(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// atRings reports whether the worker waits for rings.
func (w *width) atRings() bool {
	return w.raw.HGet(w.t.Context(), w.prefix+"classes", "n").Val() == "1" && w.raw.SCard(w.t.Context(), w.prefix+"direct").Val() == 0
}

// served sends an item through each stage.
func (w *width) served() {
	w.t.Helper()
	for i := range w.open {
		w.feeds[i] <- i
		if r := <-w.outs[i]; r.Err != nil || r.Value != i {
			w.t.Fatalf("stage %d: %d, %v", i, r.Value, r.Err)
		}
	}
}

// A worker waits for rings beside more than 16 stages, and at queues beside few. Items that come meanwhile
// are found.
func TestWayToWaitFollowsTheStages(t *testing.T) {
	t.Parallel()
	w := newWidth(t, testkit.SharedRedis(t), "")
	w.stages(4)
	for range 2 {
		w.served()
		if w.atRings() {
			t.Fatal("the worker waits for rings beside 4 stages")
		}
		w.stages(20)
		w.served()
		testkit.Eventually(t, w.atRings, "the worker waits for rings beside 20 stages")
		w.served()
		w.stages(4)
		w.served()
		testkit.Eventually(t, func() bool { return !w.atRings() }, "the worker waits at queues beside 4 stages")
	}
	w.served()
	for _, key := range []string{"classes", "ready:*", "idle:*"} {
		if left := w.raw.Keys(t.Context(), w.prefix+key).Val(); len(left) > 0 {
			t.Errorf("left are %v", left)
		}
	}
}

// A producer of an earlier version, or one without the rights for ready queues, rings for no worker: a pass
// over all queues finds its items.
func TestEntriesWithoutARingAreFound(t *testing.T) {
	t.Parallel()
	w := newWidth(t, testkit.SharedRedis(t), "")
	w.stages(20)
	testkit.Eventually(t, w.atRings, "the worker waits for rings beside 20 stages")
	w.served()
	w.raw.HDel(t.Context(), w.prefix+"m:q7", "ring") // of a stage that an earlier version has made, there is none
	w.feeds[7] <- 7
	if r := <-w.outs[7]; r.Err != nil || r.Value != 7 {
		t.Errorf("got %d, %v", r.Value, r.Err)
	}
}

// A worker whose Redis user lacks the rights for ready queues waits at queues, and says so.
func TestWorkerWithoutRightsForRingsWaitsAtQueues(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer admin.Close()
	rule := []any{"ACL", "SETUSER", "old", "on", "nopass", "+@all"}
	for _, kind := range strings.Fields("space places queues q:* r:* x:* l:* due dead m:* wait:* watch:* src:* s:* gaps:* in:* named:* d:* nacked:* " +
		"f:* standby:* awaited:* stages t:* h:* err:* watched fenced acts runs watcher own:* holds:* p:* workers executors w:* e:*") {
		rule = append(rule, "~{*}:"+kind)
	}
	if err := admin.Do(t.Context(), rule...).Err(); err != nil {
		t.Fatal(err)
	}
	w := newWidth(t, server, "old:none@")
	w.stages(20)
	w.served()
	testkit.Eventually(t, func() bool { return w.log.says("lacks the rights") == 1 }, "the worker warns")
	w.stages(22)
	w.served()
	if w.log.says("lacks the rights") != 1 {
		t.Error("the worker warns again")
	}
}
