package flow_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// startExecutor connects to a namespace of the shared server. check tells which keys are left once the
// Executor is closed and the leases of killed processes have expired.
func startExecutor(t *testing.T) (ex *executor.Executor, url, namespace string) {
	t.Helper()
	namespace = testkit.Namespace(t)
	url = testkit.SharedRedis(t).URL() + "/?ns=" + namespace
	ex, err := executor.New(t.Context(), url, executor.Lease(lease))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Close() })
	return ex, url, namespace
}

// Three workers on a server run the body of a cycle, and one of them is killed: each number of the tree
// comes once, and the cycle ends.
func TestFeedbackSurvivesKilledWorker(t *testing.T) {
	t.Parallel()
	ex, url, _ := startExecutor(t)
	victim := startWorker(t, url)
	startWorker(t, url)
	startWorker(t, url)
	const n = 30_000
	body := through(mapBy(same), mapBy(same, executor.NoFuse()), filterBy(not3))
	out := cycle(t.Context(), t, ex, upTo(1), body, tree(n, 50))
	var got []int
	failed := 0
	for x, err := range bridge.All(t.Context(), out) {
		if got = append(got, x); err != nil {
			failed++
		}
		if len(got) == n/3 {
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(got)
	// The children of 1 and 5, which have no result, and those of 3, which fails, are not visited.
	var want []int
	visited := map[int]bool{}
	for x := range n {
		if x > 0 && !visited[(x-1)/50] {
			continue
		}
		if x != 1 && x != 3 && x != 5 {
			visited[x] = true
			want = append(want, x)
		}
	}
	if failed != 1 || !slices.Equal(got[1:], want) { // a failed item has the value 0
		t.Errorf("%d results and %d errors, want %d and 1", len(got)-failed, failed, len(want))
	}
	testkit.Eventually(t, func() bool {
		queues, err := ex.Queues(t.Context())
		return err == nil && len(queues) == 0
	}, "the queues of the cycle are deleted")
}

// Redis loses the last items of the in-queue by a failover, and no process sends them again: they are
// errors in their places, and the cycle ends.
func TestFeedbackEndsAfterItsTailWasLost(t *testing.T) {
	t.Parallel()
	ex, url, namespace := startExecutor(t)
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr(), Protocol: 2})
	defer raw.Close()
	var in *executor.Queue[int]
	out := cycle(t.Context(), t, ex, upTo(10), func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
		in = q
		return mapBy(same)(ctx, q)
	}, tree(0, 1))
	testkit.Eventually(t, func() bool {
		n, err := in.Len(t.Context())
		return err == nil && n == 10
	}, "all seeds wait for a worker")
	prefix := "{" + namespace + ":0}:"
	source := raw.ZRange(t.Context(), prefix+"src:"+in.Name(), 0, -1).Val()[0]
	entries := raw.XRange(t.Context(), prefix+"q:"+in.Name(), "-", "+").Val()
	last := entries[len(entries)-1]
	if err := errors.Join(raw.XDel(t.Context(), prefix+"q:"+in.Name(), last.ID).Err(),
		raw.HSet(t.Context(), prefix+"s:"+source, "stored", last.Values["o"]).Err()); err != nil {
		t.Fatal(err)
	}
	startWorker(t, url)
	got, failed := drained(t.Context(), out)
	for _, err := range failed {
		if !errors.Is(err, executor.ErrLost) || !strings.Contains(err.Error(), "lost") {
			t.Error(err)
		}
	}
	if len(got)+len(failed) != 10 || len(failed) == 0 {
		t.Errorf("%d results and %d errors", len(got), len(failed))
	}
}
