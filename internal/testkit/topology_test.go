package testkit

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestSentinelsElectAnotherMaster(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t)
	old := s.Master()
	if old != s.Nodes[0] {
		t.Fatalf("the master is %s, not the first node", old.Addr())
	}
	old.Kill()
	began := time.Now()
	Eventually(t, func() bool { return s.Master() != old }, "another master")
	t.Logf("elected after %v", time.Since(began))
	old.Restart()
	Eventually(t, func() bool {
		return slices.Contains(ask(t, old, "ROLE").texts(), "slave")
	}, "the old master follows the new one")
}

func TestClusterServesMovesAndReplaces(t *testing.T) {
	t.Parallel()
	c := StartCluster(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.Nodes[5].Addr()}, ClusterStateReloadInterval: time.Second})
	defer client.Close()
	for _, key := range []string{"{a}:1", "{a}:2", "{a}:3", "{a}:4", "b"} {
		if err := client.Set(t.Context(), key, key, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	from := c.Master("{a}")
	to := c.Masters()[0]
	if to == from {
		to = c.Masters()[1]
	}
	c.Move("{a}", to)
	if got := c.Master("{a}"); got != to {
		t.Fatalf("the slot is at %s, not at %s", got.Addr(), to.Addr())
	}
	if got, err := client.Get(t.Context(), "{a}:3").Result(); got != "{a}:3" {
		t.Fatalf("got %q, %v after the move", got, err)
	}
	if got := c.Keys("*"); len(got) != 5 {
		t.Fatalf("there are %q", got)
	}
	to.Kill()
	Eventually(t, func() bool { return client.Get(t.Context(), "{a}:3").Val() == "{a}:3" }, "the replica takes over")
}
