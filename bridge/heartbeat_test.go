package bridge_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// slowConn is a connection on which each request is under way for some time.
type slowConn struct {
	net.Conn
	line time.Duration
}

func (c slowConn) Write(b []byte) (int, error) {
	<-time.After(c.line)
	return c.Conn.Write(b)
}

// An executor that has made many short scatters stores their ends again. However many they
// are and however long a round trip takes, its heartbeats do not wait for that, and no
// other process declares it dead.
func TestShortScattersDelayNoHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease, line, scatters = 10 * time.Second, 50 * time.Millisecond, 400
		const address = "redis://127.0.0.1:6379"
		server := embedded.New()
		defer server.Close()
		slow := func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := server.Dial(ctx, network, addr)
			return slowConn{conn, line}, err
		}
		watcher := must(executor.New(t.Context(), address, executor.Dialer(server.Dial), executor.Lease(lease)))(t)
		ex := must(executor.New(t.Context(), address, executor.Dialer(slow), executor.Lease(lease)))(t)
		long := make(chan int)
		q := must(bridge.Scatter(t.Context(), ex, long))(t)
		out := must(bridge.Gather(t.Context(), q))(t)
		var group sync.WaitGroup
		for range 40 {
			group.Go(func() {
				for range scatters / 40 {
					in := make(chan int, 1)
					in <- 1
					close(in)
					if _, err := bridge.Scatter(t.Context(), ex, in, bridge.Name("short")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		raw := redis.NewClient(&redis.Options{Dialer: server.Dial, Protocol: 2, DisableIdentity: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
		longest := time.Duration(0)
		for range 200 { // 40 s: the ends are stored again after a lease
			<-time.After(200 * time.Millisecond)
			for _, z := range must(raw.ZRangeWithScores(t.Context(), "{dq:0}:executors", 0, -1).Result())(t) {
				longest = max(longest, time.Since(time.UnixMilli(int64(z.Score))))
			}
		}
		if longest > lease/2 {
			t.Errorf("no heartbeat for %v at a lease of %v", longest, lease)
		}
		long <- 7
		if r := <-out; r.Value != 7 || r.Err != nil {
			t.Errorf("the long stream goes on with %+v", r)
		}
		close(long)
		if r, more := <-out; more {
			t.Errorf("the long stream ends with %+v", r)
		}
		if err := fmt.Sprint(raw.Close(), ex.Close(), watcher.Close()); err != "<nil> <nil> <nil>" {
			t.Error(err)
		}
	})
}
