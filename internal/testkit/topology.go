package testkit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// downAfter is the time without a reply after which the other servers declare a server dead. It is
// long enough for a busy machine.
const downAfter = 2 * time.Second

// A Sentinel is a master with two replicas and three sentinels.
type Sentinel struct {
	Nodes, Sentinels []*Server
	t                testing.TB
}

// StartSentinel starts a Sentinel for this test; args go to the three data servers. It returns when
// each sentinel knows all others.
func StartSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t}
	replicated := append([]string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}, args...)
	master := StartRedis(t, replicated...)
	s.Nodes = []*Server{master}
	for range 2 {
		host, port, _ := strings.Cut(master.Addr(), ":")
		s.Nodes = append(s.Nodes, StartRedis(t, append([]string{"--replicaof", host + " " + port}, replicated...)...))
	}
	Eventually(t, func() bool {
		return strings.Count(ask(t, master, "INFO", "replication").text(), "state=online") == 2
	}, "two replicas")
	for i := range 3 {
		config := filepath.Join(t.TempDir(), "sentinel.conf")
		text := fmt.Sprintf("sentinel monitor dq %s 2\nsentinel down-after-milliseconds dq %d\nsentinel failover-timeout dq 6000\n",
			strings.Replace(master.Addr(), ":", " ", 1), downAfter.Milliseconds())
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatalf("sentinel %d: %v", i, err)
		}
		s.Sentinels = append(s.Sentinels, start(t, config, []string{"--sentinel"}))
	}
	for _, sentinel := range s.Sentinels {
		Eventually(t, func() bool {
			view := ask(t, sentinel, "SENTINEL", "MASTER", "dq").fields()
			return view["num-slaves"] == "2" && view["num-other-sentinels"] == "2"
		}, "a sentinel that knows all others")
	}
	return s
}

// URL returns redis+sentinel://host:port,host:port,host:port/name.
func (s *Sentinel) URL() string { return "redis+sentinel://" + addresses(s.Sentinels) + "/dq" }

// Master returns the server that the first sentinel considers the master.
func (s *Sentinel) Master() *Server {
	s.t.Helper()
	at := ask(s.t, s.Sentinels[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "dq").texts()
	i := slices.IndexFunc(s.Nodes, func(n *Server) bool { return n.Addr() == strings.Join(at, ":") })
	if i < 0 {
		s.t.Fatalf("no node is the master %q", at)
	}
	return s.Nodes[i]
}

// Follows reports whether a node is a replica now.
func (s *Sentinel) Follows(n *Server) bool {
	s.t.Helper()
	return strings.Contains(ask(s.t, n, "INFO", "replication").text(), "role:slave")
}

// A Cluster is three masters with a replica each.
type Cluster struct {
	Nodes []*Server // the first three are masters at the start
	t     testing.TB
}

// StartCluster starts a Cluster for this test; args go to all six servers. It returns when each of
// them serves.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	all := append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", fmt.Sprint(downAfter.Milliseconds()),
		"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}, args...)
	for range 6 {
		c.Nodes = append(c.Nodes, StartRedis(t, all...))
	}
	for i, bound := range []int{0, 5461, 10922} {
		ask(t, c.Nodes[i], "CLUSTER", "ADDSLOTSRANGE", bound, []int{5460, 10921, 16383}[i]).must(t)
	}
	for i, n := range c.Nodes {
		ask(t, n, "CLUSTER", "SET-CONFIG-EPOCH", i+1).must(t)
		host, port, _ := strings.Cut(n.Addr(), ":")
		ask(t, c.Nodes[0], "CLUSTER", "MEET", host, port).must(t)
	}
	for i, n := range c.Nodes[3:] {
		id := c.id(c.Nodes[i])
		Eventually(t, func() bool { return ask(t, n, "CLUSTER", "REPLICATE", id).err == nil }, "a replica that knows its master")
	}
	for i, n := range c.Nodes {
		Eventually(t, func() bool {
			return strings.Contains(ask(t, n, "CLUSTER", "INFO").text(), "cluster_state:ok") &&
				strings.Contains(ask(t, n, "INFO", "replication").text(), []string{"state=online", "link_status:up"}[i/3])
		}, "a node that serves")
	}
	return c
}

// URL returns redis+cluster://host:port,….
func (c *Cluster) URL() string { return "redis+cluster://" + addresses(c.Nodes) }

// Masters returns the nodes that serve slots now.
func (c *Cluster) Masters() (masters []*Server) {
	for _, n := range c.Nodes {
		if !n.gone() && strings.Contains(ask(c.t, n, "INFO", "replication").text(), "role:master") {
			masters = append(masters, n)
		}
	}
	return masters
}

// Master returns the node that serves a key now.
func (c *Cluster) Master(key string) *Server {
	c.t.Helper()
	n := c.Serves(key)
	if n == nil {
		c.t.Fatalf("nobody serves the key %q", key)
	}
	return n
}

// Serves is Master, but returns nil if no node serves the key.
func (c *Cluster) Serves(key string) *Server {
	for _, n := range c.Masters() {
		// A node executes commands for its own slots and redirects all others.
		if ask(c.t, n, "EXISTS", key).err == nil {
			return n
		}
	}
	return nil
}

// Move moves the slot of a key to another master, key by key like an operator's tool, under any
// load.
func (c *Cluster) Move(key string, to *Server) {
	c.t.Helper()
	from := c.Master(key)
	slot := ask(c.t, from, "CLUSTER", "KEYSLOT", key).value
	ask(c.t, to, "CLUSTER", "SETSLOT", slot, "IMPORTING", c.id(from)).must(c.t)
	ask(c.t, from, "CLUSTER", "SETSLOT", slot, "MIGRATING", c.id(to)).must(c.t)
	host, port, _ := strings.Cut(to.Addr(), ":")
	for {
		keys := ask(c.t, from, "CLUSTER", "GETKEYSINSLOT", slot, 3).texts()
		if len(keys) == 0 {
			break
		}
		for _, k := range keys {
			ask(c.t, from, "MIGRATE", host, port, k, 0, 5000).must(c.t)
		}
	}
	ask(c.t, to, "CLUSTER", "SETSLOT", slot, "NODE", c.id(to)).must(c.t)
	for _, n := range c.Masters() {
		ask(c.t, n, "CLUSTER", "SETSLOT", slot, "NODE", c.id(to)).must(c.t)
	}
}

// Keys returns the names of all keys that match a pattern, from all masters.
func (c *Cluster) Keys(pattern string) (keys []string) {
	c.t.Helper()
	for _, n := range c.Masters() {
		keys = append(keys, Keys(c.t, n.URL(), pattern)...)
	}
	return keys
}

func (c *Cluster) id(n *Server) string { return ask(c.t, n, "CLUSTER", "MYID").text() }

func addresses(servers []*Server) string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = s.Addr()
	}
	return strings.Join(all, ",")
}

// An answer is the reply of a server to one command.
type answer struct {
	value any
	err   error
}

// ask sends one command on a new connection. It may be called from a Cleanup.
func ask(t testing.TB, s *Server, args ...any) answer {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addr(), Protocol: 2, MaxRetries: -1, DisableIdentity: true})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeout)
	defer cancel()
	value, err := client.Do(ctx, args...).Result()
	return answer{value, err}
}

func (a answer) must(t testing.TB) {
	t.Helper()
	if a.err != nil {
		t.Fatal(a.err)
	}
}

func (a answer) text() string {
	text, _ := a.value.(string)
	return text
}

func (a answer) texts() (all []string) {
	list, _ := a.value.([]any)
	for _, v := range list {
		all = append(all, fmt.Sprint(v))
	}
	return all
}

func (a answer) fields() map[string]string {
	pairs, fields := a.texts(), map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[pairs[i]] = pairs[i+1]
	}
	return fields
}
