package topology

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// The same flows run on every topology of Redis, with the same results and without leftover keys.
func TestEveryTopologyKeepsThePromises(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		ex, _ := connect(t, "")
		if err := ex.Register(inc, double, twice); err != nil {
			t.Fatal(err)
		}
		flows(t, ex, ex, ex)
	})
	t.Run("embedded, partitions", func(t *testing.T) {
		t.Parallel()
		ex, _ := connect(t, "", executor.Partitions(3))
		if err := ex.Register(inc, double, twice); err != nil {
			t.Fatal(err)
		}
		flows(t, ex, ex, ex)
	})
	t.Run("single", func(t *testing.T) {
		t.Parallel()
		server := testkit.SharedRedis(t)
		onFleet(t, server.URL()+"/", "", func(pattern string) []string { return testkit.Keys(t, server.URL(), pattern) })
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		s := testkit.StartSentinel(t)
		onFleet(t, s.URL(), "", func(pattern string) []string { return testkit.Keys(t, s.Master().URL(), pattern) })
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := testkit.StartCluster(t)
		onFleet(t, c.URL(), "", c.Keys)
	})
	t.Run("cluster, partitions", func(t *testing.T) {
		t.Parallel()
		c := testkit.StartCluster(t)
		onFleet(t, c.URL(), "&partitions=5", c.Keys)
	})
}

// onFleet runs the flows with two workers, and a separate process for each end.
func onFleet(t *testing.T, url, extra string, keys func(pattern string) []string) {
	t.Helper()
	ns := testkit.Namespace(t)
	url += "?ns=" + ns + extra
	t.Cleanup(func() {
		left := slices.DeleteFunc(keys("{"+ns+":*"), func(key string) bool { return key == "{"+ns+":0}:space" })
		if len(left) > 0 {
			t.Errorf("keys are left: %q", left)
		}
	})
	interrupts(t, url)
	said := []*diary{work(t, url), work(t, url)}
	var all [3]*executor.Executor
	for i := range all {
		var d *diary
		all[i], d = connect(t, url)
		said = append(said, d)
	}
	flows(t, all[0], all[1], all[2])
	for _, d := range said {
		if d.says("WARN")+d.says("ERROR") > 0 {
			t.Errorf("without any trouble it says\n%s", d.all())
		}
	}
}

// flows uses three executors, which may be the same one.
func flows(t *testing.T, ex, second, third *executor.Executor) {
	t.Helper()
	const n = 2000
	remote := stage(t, double, stage(t, inc, scatter(t, ex, numbers(n, same))))
	if got := values(t, remote, -1); !slices.Equal(got, numbers(n, processed)) {
		t.Errorf("two stages yield %d items: %v …", len(got), got[:min(len(got), 20)])
	}
	branches := must(executor.Multiplex(t.Context(), 2, scatter(t, ex, numbers(n, same))))(t)
	merged := must(executor.Merge(t.Context(), stage(t, inc, branches[0]), stage(t, inc, branches[1])))(t)
	want, seen := numbers(n, func(i int) int { return i + 1 }), [2][]int{}
	for _, v := range values(t, merged, -1) {
		_, again := slices.BinarySearch(seen[0], v)
		i := map[bool]int{true: 1}[again]
		seen[i] = append(seen[i], v)
	}
	if !slices.Equal(seen[0], want) || !slices.Equal(seen[1], want) {
		t.Errorf("of two branches come %d and %d items in order", len(seen[0]), len(seen[1]))
	}
	futures := must(executor.MapSlice(t.Context(), ex, inc, numbers(500, same)))(t)
	if got := must(executor.GatherSlice(t.Context(), futures))(t); !slices.Equal(got, want[:500]) {
		t.Errorf("futures yield %v …", got[:20])
	}
	large := make([]string, 20)
	for i := range large {
		large[i] = strings.Repeat(fmt.Sprint(i, " "), 2000)
	}
	for i, v := range values(t, stage(t, twice, scatter(t, ex, large)), -1) {
		if v != large[i]+large[i] {
			t.Errorf("large item %d comes back with %d bytes", i, len(v))
		}
	}
	named(t, ex, second, third)
}

// named fills a queue with one process, gathers the first half with another and the rest with a
// third.
func named(t *testing.T, from, first, rest *executor.Executor) {
	t.Helper()
	const n = 1000
	q := scatter(t, from, numbers(n, same), bridge.Name("orders"))
	if err := from.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return must(q.Len(t.Context()))(t) == n }, "a queue that is filled")
	got := values(t, must(executor.Open[int](t.Context(), first, "orders"))(t), n/2)
	again := must(executor.Open[int](t.Context(), rest, "orders"))(t)
	got = append(got, values(t, again, n-n/2)...)
	if !slices.Equal(got, numbers(n, same)) {
		t.Errorf("the halves of a named queue yield %d items: %v …", len(got), got[:20])
	}
	if err := rest.Delete(t.Context(), "orders"); err != nil {
		t.Error(err)
	}
}
