package topology

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A server that stores every acknowledged write keeps all of them over a restart. A server that is
// killed with everysec does not: during a slow sync, acknowledged writes are only in the memory of
// the process.
func TestRedisRestarts(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"kill -9, fsync always": {"--appendonly", "yes", "--appendfsync", "always"},
		"shutdown":              {"--appendonly", "yes", "--appendfsync", "everysec"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testkit.StartRedis(t, args...)
			s := flow(t, server.URL()+"/", nil)
			for i := 1; i <= 2; i++ {
				if name == "shutdown" {
					server.Shutdown()
				} else {
					server.Kill()
				}
				s.noticed(i)
				server.Restart()
				s.recovered(i)
			}
			s.end()
		})
	}
}

// A server that loads its data replies to all commands with LOADING.
func TestRedisLoads(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes",
		"--loading-process-events-interval-bytes", "1024", "--key-load-delay", "200")
	s := flow(t, server.URL()+"/", nil)
	redis := admin(t, server.Addr())
	pipe := redis.Pipeline()
	for i := range 5000 {
		pipe.Set(t.Context(), fmt.Sprint("ballast:", i), strings.Repeat("x", 100), 0)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	s.noticed(1)
	back := make(chan struct{})
	go func() {
		defer close(back)
		server.Restart()
	}()
	seen := false
	s.until(func() bool {
		err := redis.Ping(t.Context()).Err()
		seen = seen || err != nil && strings.HasPrefix(err.Error(), "LOADING")
		return err == nil
	}, "the data is loaded")
	<-back
	if !seen {
		t.Error("nobody saw it loading")
	}
	s.recovered(1)
	s.end()
}

// Actions of an operator on a running server.
func TestOperatorActions(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]any{
		"script flush": {"SCRIPT", "FLUSH"},
		"client kill":  {"CLIENT", "KILL", "TYPE", "normal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testkit.StartRedis(t)
			s, redis := flow(t, server.URL()+"/", nil), admin(t, server.Addr())
			for range 50 {
				if err := redis.Do(t.Context(), args...).Err(); err != nil {
					t.Fatal(err)
				}
				before := s.got.Load()
				s.until(func() bool { return s.got.Load() > before }, "a result comes")
			}
			for _, d := range s.said {
				if d.says(trouble) > 3 {
					t.Errorf("it tells of trouble again and again:\n%s", d.all())
				}
			}
			s.end()
		})
	}
}

// While the memory is full, producers wait and stored items are processed.
func TestFullMemory(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	s, redis := flow(t, server.URL()+"/", nil), admin(t, server.Addr())
	s.said = s.said[2:] // without the producer's process: workers have all they need
	s.trouble = "redis is full: "
	for i := 1; i <= 2; i++ {
		if err := redis.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
			t.Fatal(err)
		}
		s.noticed(i)
		s.until(func() bool { return s.inside(redis) == 0 }, "all that was in has come out")
		if err := redis.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
			t.Fatal(err)
		}
		s.recovered(i)
	}
	s.end()
}

// Processes can start while the memory is full, and make room: a worker and a gather join, process
// the stored items, and leave no key.
func TestStartWhileMemoryIsFull(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	redis := admin(t, server.Addr())
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	producer, err := executor.New(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	in, err := bridge.ScatterSeq(t.Context(), producer, slices.Values(make([]int, 5000)), bridge.Name("orders"), bridge.Seal())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := executor.Map(t.Context(), inc, in, executor.Name("results")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(producer.Flush(t.Context()), redis.ConfigSet(t.Context(), "maxmemory", "1").Err()); err != nil {
		t.Fatal(err)
	}
	ex, err := executor.New(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	if err := ex.Register(inc); err != nil {
		t.Fatal(err)
	}
	q, err := executor.Open[int](t.Context(), ex, "results")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for v, err := range bridge.All(t.Context(), q) {
		if n++; v != 1 || err != nil {
			t.Fatalf("result %d is %d, %v", n, v, err)
		}
	}
	if err := errors.Join(ex.Delete(t.Context(), "orders"), ex.Delete(t.Context(), "results"), ex.Close(), producer.Close()); err != nil {
		t.Error(err)
	}
	if keys := redis.Keys(t.Context(), "*").Val(); n != 5000 || len(keys) != 1 || !strings.HasSuffix(keys[0], ":runs") {
		t.Errorf("%d results, and %v are left", n, keys)
	}
}

// A master that is demoted to a replica refuses writes until it is promoted again.
func TestDemotedMaster(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	s, redis := flow(t, server.URL()+"/", nil), admin(t, server.Addr())
	for i := 1; i <= 2; i++ {
		if err := redis.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil { // an address without a server
			t.Fatal(err)
		}
		s.noticed(i)
		if err := redis.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
			t.Fatal(err)
		}
		s.recovered(i)
	}
	s.end()
}

func TestBadNetwork(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]testkit.Line{
		"slow":   {Delay: func() time.Duration { return 50*time.Millisecond + rand.N(100*time.Millisecond) }},
		"thin":   {Slice: 10},
		"narrow": {Slice: 640, Delay: func() time.Duration { return 10 * time.Millisecond }}, // 64 KB per second
		"broken": {Budget: func() int { return 1000 + rand.IntN(200_000) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := testkit.NewProxy(t, testkit.SharedRedis(t).Addr())
			s := flow(t, p.URL()+"/", nil)
			p.Shape(line)
			p.Cut()
			for range 2 {
				s.flowing()
			}
			p.Shape(testkit.Line{})
			p.Cut()
			s.end()
		})
	}
	t.Run("replies are lost", func(t *testing.T) {
		t.Parallel()
		p := testkit.NewProxy(t, testkit.SharedRedis(t).Addr())
		s := flow(t, p.URL()+"/", nil)
		for range 50 {
			lost := p.CutAfterRequest(func(req []byte) bool { return rand.IntN(3) == 0 && !bytes.Contains(req, []byte("BLOCK")) })
			s.until(func() bool {
				select {
				case <-lost:
					return true
				default:
					return false
				}
			}, "a reply is lost")
		}
		s.flowing()
		s.end()
	})
}
