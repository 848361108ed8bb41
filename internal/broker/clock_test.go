package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// Now follows the clock of Redis, which may differ from that of the process, from each heartbeat on.
func TestNowIsTheTimeOfRedis(t *testing.T) {
	server := embedded.New()
	t.Cleanup(server.Close)
	c, err := server.Open("redis://127.0.0.1/", nil)
	opened(t, c, err)
	off := func(by time.Duration) time.Duration { return c.Now().Sub(time.Now().Add(by)).Abs() }
	server.StandAt(time.Now().Add(time.Hour))
	if err := c.Join(t.Context(), broker.RoleExecutor, "x1", nil); err != nil {
		t.Fatal(err)
	}
	if off := off(time.Hour); off > time.Minute {
		t.Errorf("after the start the clock is off by %v", off)
	}
	lease := c.Lease(broker.RoleExecutor, "x1", 10*time.Second)
	t.Cleanup(lease.Close)
	server.StandAt(time.Now().Add(-time.Hour))
	must[broker.HeartbeatReply](t)(lease.Beat(t.Context()))
	if off := off(-time.Hour); off > time.Minute {
		t.Errorf("after a heartbeat the clock is off by %v", off)
	}
	now := time.Now()
	for id, want := range map[string]time.Duration{
		fmt.Sprint(now.Add(-2*time.Hour).UnixMilli(), "-7"): time.Hour, fmt.Sprint(now.UnixMilli(), "-0"): 0, "": 0, "0-1": 0,
	} {
		if got := c.Wait(broker.Ref{ID: id}, now); (got - want).Abs() > time.Minute {
			t.Errorf("entry %s has waited for %v, want %v", id, got, want)
		}
	}
}
