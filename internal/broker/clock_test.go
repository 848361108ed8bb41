package broker_test

import (
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
}
