package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A still is a namespace in which nothing runs but what a test does: its workers are registered, and have
// no process.
type still struct {
	c      *broker.Client
	raw    *redis.Client
	ex     *executor.Executor
	writes atomic.Int64 // requests of the Executor
}

// countingConn counts the requests of a connection.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// stillFleet makes a still with one worker that has the function double, and others that have another one.
// join makes a worker wait.
func stillFleet(t *testing.T, others int, join func(t *testing.T, c *broker.Client, worker string, class broker.Class)) *still {
	t.Helper()
	server := testkit.StartRedis(t)
	c, err := broker.Open(server.URL(), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &still{c: c, raw: redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})}
	t.Cleanup(func() { _ = errors.Join(s.raw.Close(), c.Close()) })
	for i := range others + 1 {
		worker, card := fmt.Sprint("w", i), broker.FunctionCard{Name: "other", In: "int", InCodec: "json", Out: "int", OutCodec: "json"}
		if i == 0 {
			card.Name = "double"
		}
		functions := fmt.Sprintf(`[{"name":%q,"in":"int","incodec":"json","out":"int","outcodec":"json"}]`, card.Name)
		if err := c.Join(t.Context(), broker.RoleWorker, worker, map[string]string{"functions": functions}); err != nil {
			t.Fatal(err)
		}
		join(t, c, worker, broker.NewClass([]broker.FunctionCard{card}, nil))
	}
	s.ex, err = executor.New(t.Context(), server.URL(), executor.Lease(time.Hour), executor.Dialer(
		func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return countingConn{conn, &s.writes}, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.ex.Close() })
	return s
}

// double needs no process: the flows have no items.
var double = workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })

// flow makes a flow without items, which ends by itself. It returns the requests of Scatter, while the flow
// stays open, and of Map.
func (s *still) flow(t *testing.T) (scatter, mapped int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in := make(chan int)
	begun := s.writes.Load()
	q, err := bridge.Scatter(ctx, s.ex, in)
	if err != nil {
		t.Fatal(err)
	}
	scattered := s.writes.Load()
	doubled, err := executor.Map(ctx, double, q)
	if err != nil {
		t.Fatal(err)
	}
	staged := s.writes.Load()
	out, err := bridge.Gather(ctx, doubled)
	if err != nil {
		t.Fatal(err)
	}
	close(in)
	for r := range out {
		t.Errorf("got %v", r)
	}
	if n := s.raw.SCard(t.Context(), "{dq:0}:queues").Val(); n != 0 {
		t.Errorf("%d queues are left", n)
	}
	return scattered - begun, staged - scattered
}

// commands returns the commands of Redis so far, those of scripts too.
func (s *still) commands(t *testing.T) (n int) {
	t.Helper()
	info, err := s.raw.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
		if k, err := strconv.Atoi(calls); err == nil && name != "cmdstat_info" {
			n += k
		}
	}
	return n
}

// mail returns the number of hints in the mailboxes of some workers.
func (s *still) mail(t *testing.T, from, to int) (n int64) {
	t.Helper()
	for i := from; i < to; i++ {
		n += s.raw.XLen(t.Context(), fmt.Sprint("{dq:0}:p:w", i)).Val()
	}
	return n
}

// waits are the ways in which workers wait for work.
var waits = map[string]func(t *testing.T, c *broker.Client, worker string, class broker.Class){
	"queues": func(*testing.T, *broker.Client, string, broker.Class) {},
	"rings": func(t *testing.T, c *broker.Client, worker string, class broker.Class) {
		t.Helper()
		if _, err := c.JoinClass(t.Context(), worker, class); err != nil {
			t.Fatal(err)
		}
	},
}

// A flow costs as many commands beside workers that do not have its function as without them, and tells
// them nothing. The cheapest of some flows counts, since a read that ends before the last item came is
// made once more; half a command for each other worker would be noticed.
func TestFlowCostIsIndependentOfOtherWorkers(t *testing.T) {
	for name, join := range waits {
		t.Run(name, func(t *testing.T) {
			const others, flows = 40, 5
			bill := func(others int) (least int) {
				s := stillFleet(t, others, join)
				s.flow(t) // the first one loads the scripts and reads the workers
				for range flows {
					before := s.commands(t)
					s.flow(t)
					if used := s.commands(t) - before; least == 0 || used < least {
						least = used
					}
				}
				if n := s.mail(t, 1, 1+others); n != 0 {
					t.Errorf("%d hints for workers without the function", n)
				}
				if n := s.mail(t, 0, 1); name == "queues" && n != 2*(1+flows) {
					t.Errorf("%d hints for the worker with the function", n)
				}
				return least
			}
			alone, beside := bill(0), bill(others)
			if beside > alone+others/2 {
				t.Errorf("a flow: %d commands beside %d workers, %d without them", beside, others, alone)
			}
		})
	}
}

// A scatter and a stage cost a round trip each, and a flow without items a dozen. The least of some flows
// counts, since their Executor has other things to say at its own times.
func TestFlowRoundTrips(t *testing.T) {
	s := stillFleet(t, 0, waits["queues"])
	s.flow(t)
	scatters, maps, flows := int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64)
	for range 5 {
		begun := s.writes.Load()
		scatter, mapped := s.flow(t)
		scatters, maps, flows = min(scatters, scatter), min(maps, mapped), min(flows, s.writes.Load()-begun)
	}
	if scatters != 1 || maps != 1 || flows > 12 {
		t.Errorf("%d round trips for a scatter, %d for a stage, %d for a flow; want 1, 1 and at most 12", scatters, maps, flows)
	}
}
