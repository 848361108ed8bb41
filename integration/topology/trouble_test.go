package topology

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A server that keeps what it has said yes to comes back with all of it.
func TestRedisRestarts(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"kill -9, fsync always":   {"--appendonly", "yes", "--appendfsync", "always"},
		"kill -9, fsync everysec": {"--appendonly", "yes", "--appendfsync", "everysec"},
		"shutdown":                {"--appendonly", "yes", "--appendfsync", "everysec"},
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

// A server that loads its data answers everything with LOADING.
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

// What an operator does to a server that lives.
func TestOperatorsAreSurvived(t *testing.T) {
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

// When the memory is full producers wait, and what is in comes out.
func TestMemoryIsFull(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	s, redis := flow(t, server.URL()+"/", nil), admin(t, server.Addr())
	s.said = s.said[2:] // the producer's process: workers have what they need
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

// A master that becomes a replica refuses writes until it is one again.
func TestMasterIsDemotedForAWhile(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	s, redis := flow(t, server.URL()+"/", nil), admin(t, server.Addr())
	for i := 1; i <= 2; i++ {
		if err := redis.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil { // where nobody is
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

func TestNetworkIsBad(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]testkit.Line{
		"slow":   {Delay: func() time.Duration { return 50*time.Millisecond + rand.N(100*time.Millisecond) }},
		"thin":   {Slice: 10},
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
