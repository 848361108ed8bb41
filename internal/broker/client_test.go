package broker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A read that moves entries is sent once, even if its reply is lost: the reply of a second read
// would not contain the entries of the first one.
func TestNonIdempotentReadsAreNotRetried(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"single": nil, "cluster": {"--cluster-enabled", "yes"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testkit.StartRedis(t, args...)
			proxy, address := testkit.NewProxy(t, server.Addr()), server.URL()
			if name == "cluster" {
				address = "redis+cluster://" + server.Addr()
				setup := redis.NewClient(&redis.Options{Addr: server.Addr()})
				err := setup.ClusterAddSlotsRange(t.Context(), 0, 16383).Err()
				testkit.Eventually(t, func() bool { return strings.Contains(setup.ClusterInfo(t.Context()).Val(), "cluster_state:ok") }, "a cluster of one")
				if err := errors.Join(err, setup.Close()); err != nil {
					t.Fatal(err)
				}
			}
			c, err := broker.Open(address, broker.Options{Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, proxy.Addr())
			}})
			c = opened(t, c, err)
			f := makeFlow(t, c, 0)
			must[[]broker.Taken](t)(c.Take(t.Context(), "w1", 1, 1, f.routes())) // loads the script
			scatterBatches(t, c, f, 9)
			r := c.Reader("w1", time.Second)
			defer r.Close()
			if _, _, err := r.Read(t.Context(), nil, 10, 0); err != nil {
				t.Fatal(err)
			}
			for held, bring := range []func() error{
				func() error { _, err := c.Take(t.Context(), "w1", 1, 1, f.routes()); return err },
				func() error { _, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "a"}}, 1, 0); return err },
				func() error {
					_, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "a"}}, 1, time.Second)
					return err
				},
			} {
				lost := proxy.CutAfterRequest(func(req []byte) bool { return bytes.Contains(req, []byte("q:a")) })
				err := bring()
				select {
				case <-lost:
				case <-time.After(20 * time.Second):
					t.Fatal("no reply was lost")
				}
				n := len(must[[]broker.Entry](t)(c.Held(t.Context(), "w1", "a")))
				if err == nil || n != held+1 {
					t.Fatalf("%d are held, and the error is %v", n, err)
				}
			}
		})
	}
}

// A read blocks exactly for the time of its reader. An empty read is no error, by the clocks of
// neither the server nor the client.
func TestEmptyReadIsNoError(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		makeFlow(t, c, 0)
		r := c.Reader("w1", 50*time.Millisecond)
		defer r.Close()
		if _, hints, err := r.Read(t.Context(), nil, 10, 0); err != nil || len(hints) != 1 {
			t.Fatal(hints, err)
		}
		for _, wait := range []time.Duration{0, 10 * time.Millisecond, time.Hour} {
			entries, hints, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "a"}}, 1, wait)
			if err != nil || len(entries)+len(hints) != 0 {
				t.Errorf("after %v it finds %v, %v, %v", wait, entries, hints, err)
			}
		}
	})
}

// A reply that arrives after its caller has given up is not used for another command.
func TestLateReplyIsDiscarded(t *testing.T) {
	t.Parallel()
	proxy := testkit.NewProxy(t, testkit.SharedRedis(t).Addr())
	c, err := broker.Open(proxy.URL()+"/?ns="+testkit.Namespace(t), broker.Options{})
	c = opened(t, c, err)
	for i, name := range []string{"a", "b"} {
		must[bool](t)(made(c.Declare(t.Context(), broker.Queue{Name: name, Bounds: broker.Bounds{Max: int64(i + 1)}})))
	}
	for range 20 {
		proxy.Pause()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := c.Look(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a paused network answers, %v", err)
		}
		cancel()
		proxy.Resume()
		if q := must[broker.Queue](t)(c.Look(t.Context(), "b")); q.Max != 2 {
			t.Fatalf("b has the bound %d", q.Max)
		}
	}
}

// A client of a server that may evict keys logs a warning; other clients do not.
func TestEvictionPolicyIsLogged(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	for policy, warnings := range map[string]int{"noeviction": 0, "allkeys-lru": 1, "volatile-ttl": 1} {
		var out bytes.Buffer
		c, err := broker.Open(server.URL(), broker.Options{Log: slog.New(slog.NewTextHandler(&out, nil))})
		c = opened(t, c, err)
		if err := errors.Join(c.Raw().ConfigSet(t.Context(), "maxmemory-policy", policy).Err(), c.Connect(t.Context(), time.Minute)); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "level=WARN"); n != warnings || n > 0 && !strings.Contains(out.String(), "policy="+policy) {
			t.Errorf("with %s it says %q", policy, &out)
		}
	}
}
