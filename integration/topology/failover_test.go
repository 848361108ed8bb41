package topology

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// lost allows lost elements: a dead master loses the writes that no replica has.
func lost(t *testing.T) func(i int64, err error) bool {
	t.Helper()
	return func(i int64, err error) bool {
		var item *executor.ItemError
		if !errors.As(err, &item) || item.Code != "lost" {
			return false
		}
		t.Logf("element %d: %v", i, err)
		return true
	}
}

func TestSentinelsElectAMaster(t *testing.T) {
	t.Parallel()
	servers := testkit.StartSentinel(t)
	s := flow(t, servers.URL(), lost(t))
	master := servers.Master()
	began := time.Now()
	master.Kill()
	s.noticed(1)
	s.until(func() bool { return servers.Master() != master }, "another master is elected")
	t.Logf("elected after %v", time.Since(began).Round(time.Millisecond))
	s.recovered(1)
	master.Restart()
	s.flowing()
	s.end()
}

// A stopped master keeps its connections and continues as if it were still the master. Its clients
// see no error, only missing replies, until it is demoted.
func TestStoppedMasterIsReplaced(t *testing.T) {
	t.Parallel()
	servers := testkit.StartSentinel(t)
	s := flow(t, servers.URL(), lost(t))
	master := servers.Master()
	master.Stop()
	s.until(func() bool { return servers.Master() != master }, "another master is elected")
	s.flowing()
	master.Cont()
	s.until(func() bool { return servers.Follows(master) }, "it follows the other")
	s.flowing()
	s.end()
}

func TestClusterPromotesReplica(t *testing.T) {
	t.Parallel()
	cluster := testkit.StartCluster(t)
	s := flow(t, cluster.URL(), lost(t))
	key := "{" + s.ns + ":0}"
	began := time.Now()
	cluster.Master(key).Kill()
	s.until(func() bool { return cluster.Serves(key) != nil }, "a replica is promoted")
	t.Logf("promoted after %v", time.Since(began).Round(time.Millisecond))
	s.noticed(1)
	s.recovered(1)
	s.end()
}

func TestSlotMovesAndComesBack(t *testing.T) {
	t.Parallel()
	cluster := testkit.StartCluster(t)
	s := flow(t, cluster.URL(), nil)
	key := "{" + s.ns + ":0}"
	home := cluster.Master(key)
	for range 2 {
		for _, to := range cluster.Masters() {
			if to == cluster.Master(key) {
				continue
			}
			cluster.Move(key, to)
			s.flowing()
		}
	}
	if cluster.Master(key) != home {
		cluster.Move(key, home)
	}
	s.flowing()
	s.end()
}

// A master dies with its replica, and both come back empty: the flow ends with an error that says so.
func TestClusterLosesItsDataWithANode(t *testing.T) {
	t.Parallel()
	cluster := testkit.StartCluster(t)
	ex, _ := connect(t, cluster.URL()+"/")
	q := must(bridge.Scatter(t.Context(), ex, make(chan int)))(t)
	out := must(bridge.Gather(t.Context(), q))(t)
	master := cluster.Master("{dq:0}")
	_, port, _ := net.SplitHostPort(master.Addr())
	replicas := slices.DeleteFunc(slices.Clone(cluster.Nodes), func(n *testkit.Server) bool {
		role := must(admin(t, n.Addr()).Do(t.Context(), "ROLE").Slice())(t)
		return role[0] != "slave" || fmt.Sprint(role[2]) != port
	})
	for _, n := range append(replicas, master) {
		n.Kill()
	}
	for _, n := range append(replicas, master) {
		n.Restart()
	}
	for r := range out {
		if !errors.Is(r.Err, executor.ErrLost) || !strings.Contains(r.Err.Error(), "lost with its node") {
			t.Errorf("gather: %v", r.Err)
		}
	}
	<-q.Done()
	if err := q.Err(); !errors.Is(err, executor.ErrLost) {
		t.Errorf("scatter: %v", err)
	}
}
