package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// The flows of several Executors are on several masters of a cluster. One fleet serves them all,
// even after the death of a master.
func TestFlowsSpreadOverCluster(t *testing.T) {
	t.Parallel()
	const n, flows = 1000, 24
	c := testkit.StartCluster(t)
	url := c.URL() + "?ns=spread&partitions=6" // each master holds some of the partitions
	var all [flows]*executor.Executor
	var filled [flows]*executor.Queue[int]
	for i := range all {
		all[i], _ = connect(t, url)
		name := fmt.Sprintf("orders-%d", i)
		in := scatter(t, all[i], numbers(n, same), bridge.Name(name), bridge.Seal())
		must(executor.Map(t.Context(), inc, in, executor.Name("results-"+name)))(t)
		if err := all[i].Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	masters, partitions := map[string]bool{}, map[string]bool{}
	for _, key := range c.Keys("{spread:*}:q:orders-*") {
		masters[c.Master(key).Addr()] = true
		partitions[key[:strings.Index(key, "}")]] = true
	}
	if len(masters) < 2 || len(partitions) < 3 {
		t.Errorf("%d flows are on %d masters, in %d partitions", flows, len(masters), len(partitions))
	}
	checkNodes(t, all[0], masters)
	work(t, url[:strings.Index(url, "&")]) // later clients read the number
	work(t, url)
	for i := range filled { // found by other processes than those that made them
		filled[i] = must(executor.Open[int](t.Context(), all[(i+1)%flows], fmt.Sprintf("results-orders-%d", i)))(t)
	}
	c.Master("{spread:3}:").Kill()
	want := numbers(n, func(i int) int { return i + 1 })
	var group sync.WaitGroup
	for i, q := range filled {
		group.Go(func() {
			at := 0
			for v, err := range bridge.All(t.Context(), q) {
				lost := errors.Is(err, executor.ErrLost) && bridge.IsItemError(err) // the replica did not have it yet
				if !lost && (err != nil || at >= n || v != want[at]) {
					t.Errorf("flow %d: result %d is %d, %v", i, at, v, err)
					return
				}
				at++
			}
			if at != n {
				t.Errorf("flow %d has %d results", i, at)
			}
		})
	}
	group.Wait()
}

// All clients of a namespace must use the same number of partitions.
func TestPartitionsMustMatch(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	ex, _ := connect(t, url)
	if _, err := executor.New(t.Context(), url, executor.Partitions(2)); !errors.Is(err, executor.ErrPartitions) {
		t.Errorf("a namespace in use was spread: %v", err)
	}
	if err := ex.Close(); err != nil {
		t.Fatal(err)
	}
	first, _ := connect(t, url, executor.Partitions(2))
	if _, err := executor.New(t.Context(), url+"&partitions=3"); !errors.Is(err, executor.ErrPartitions) {
		t.Errorf("two numbers were taken: %v", err)
	}
	q := scatter(t, first, numbers(10, same), bridge.Name("orders"), bridge.Seal())
	if err := first.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	later, _ := connect(t, url)
	if got := values(t, must(executor.Open[int](t.Context(), later, "orders"))(t), -1); !slices.Equal(got, numbers(10, same)) {
		t.Errorf("another process gathers %v", got)
	}
	if err := later.Delete(t.Context(), q.Name()); err != nil {
		t.Error(err)
	}
}

// checkNodes checks that the state of the server has each master once, with its processor time.
func checkNodes(t *testing.T, ex *executor.Executor, masters map[string]bool) {
	t.Helper()
	s, err := ex.Server(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, node := range s.Nodes {
		if found[node.Address] || node.MainCPU <= 0 || node.Run == "" {
			t.Errorf("the server has %+v", s.Nodes)
		}
		found[node.Address] = true
	}
	for master := range masters {
		if !found[master] {
			t.Errorf("the server has no %s: %+v", master, s.Nodes)
		}
	}
}
