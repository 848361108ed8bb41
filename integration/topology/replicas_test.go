package topology

import (
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// After the death of the master, the promoted replica has all stored items, and a running scatter
// continues: with Replicas no item is lost.
func TestReplicasKeepStoredItems(t *testing.T) {
	t.Parallel()
	servers := testkit.StartSentinel(t)
	url := servers.URL() + "?ns=" + testkit.Namespace(t)
	ex := must(executor.New(t.Context(), url, executor.Replicas(1)))(t)
	in := make(chan int)
	q := must(bridge.Scatter(t.Context(), ex, in, bridge.Name("numbers"), bridge.Seal()))(t)
	const n = 20_000
	master := servers.Master()
	for i := range n {
		if i == n/2 {
			master.Kill()
		}
		in <- i
	}
	close(in)
	if err := ex.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := 0
	for v, err := range bridge.All(t.Context(), q) {
		if err != nil || v != next {
			t.Fatalf("element %d is %d, %v", next, v, err)
		}
		next++
	}
	if next != n {
		t.Errorf("%d elements", next)
	}
	master.Restart()
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}

func TestMissingReplicas(t *testing.T) {
	t.Parallel()
	if _, err := executor.New(t.Context(), "", executor.Replicas(1)); err == nil || !strings.Contains(err.Error(), "embedded") {
		t.Errorf("an embedded broker: %v", err)
	}
	if _, err := executor.New(t.Context(), "", executor.Replicas(0)); err == nil {
		t.Error("no replicas are taken")
	}
}
