package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// mustAll stops the test if one of the errors is not nil.
func mustAll(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func one(at int64) broker.Parcel {
	var b batch.Builder
	b.Value(fmt.Append(nil, at))
	return broker.Parcel{Batch: batch.Batch{Source: "s", First: at, N: 1, Frame: b.Take()}}
}

// A whole flow runs in virtual time: a worker's read blocks for minutes, a stopped worker is
// declared dead after its lease, and none of it takes real time.
func TestFlowUsesVirtualTime(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		defer server.Close()
		c, err := server.Open("redis://127.0.0.1/", nil)
		mustAll(t, err)
		defer c.Close()
		a, _, err := c.Declare(t.Context(), broker.Queue{Name: "a"})
		mustAll(t, err)
		b, _, err := c.Declare(t.Context(), broker.Queue{Name: "b", From: []string{"a"}, Seal: true})
		mustAll(t, err)
		source, _, err := c.Source(t.Context(), "s", a, 1)
		mustAll(t, err, c.Join(t.Context(), broker.RoleExecutor, "x", nil),
			c.Stage(t.Context(), broker.Stage{ID: "b", Ins: []broker.Queue{a}, Outs: []broker.Out{{Queue: b}}}))
		worked := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { worked <- work(ctx, c, a, b) }()
		wait(t, 20*time.Minute)
		scattered, err := c.Scatter(t.Context(), source, "x", broker.Window{}, []broker.Parcel{one(0), one(1)})
		if mustAll(t, err, c.Finish(t.Context(), source, 2)); scattered.Stored != 2 {
			t.Fatalf("%+v", scattered)
		}
		wait(t, 10*time.Minute)
		g, err := c.Consume(t.Context(), "g", "x", "b")
		mustAll(t, err)
		r := c.Reader("g", time.Second)
		defer r.Close()
		entries, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 10, time.Second)
		if mustAll(t, err); len(entries) != 2 || entries[0].First+entries[1].First != 1 {
			t.Fatalf("gathered %+v", entries)
		}
		asked := time.Now()
		if none, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 10, time.Second); err != nil || len(none) != 0 || time.Since(asked) < time.Second {
			t.Errorf("a read that waits took %v of virtual time, %v", time.Since(asked), err)
		}
		live, err := c.Processes(t.Context(), broker.RoleWorker, 10*time.Second)
		if mustAll(t, err); len(live) != 1 || live[0].ID != "lives" {
			t.Errorf("there live %+v", live)
		}
		_, err = c.Ack(t.Context(), g, entries, []broker.Mark{{Source: "s", Delivered: "2", Low: 2}}, 0, func(string) string { return "a" })
		cancel()
		mustAll(t, err, <-worked)
	})
	if took := time.Since(began); took > time.Minute {
		t.Errorf("half an hour of virtual time took %v", took)
	}
}

func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// work is a worker: it sends heartbeats, reads entries and completes them. It leaves the first
// entry to the worker that sends no heartbeats.
func work(ctx context.Context, c *broker.Client, a, b broker.Queue) error {
	if err := c.Join(ctx, broker.RoleWorker, "lives", nil); err != nil {
		return err
	}
	lease := c.Lease(broker.RoleWorker, "lives", 10*time.Second)
	r := c.Reader("lives", 2*time.Second)
	defer r.Close()
	left := false
	for ctx.Err() == nil {
		if _, err := lease.Beat(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		if backlog, err := c.Waiting(ctx, "a"); err == nil && backlog.Items > 0 && !left {
			left = true
			if err := c.Join(ctx, broker.RoleWorker, "dies", nil); err != nil {
				return err
			}
			if _, err := c.Take(ctx, "dies", 1, 1, []broker.Route{{In: "a", Outs: []string{"b"}}}); err != nil {
				return err
			}
		}
		entries, _, err := r.Read(ctx, []broker.StreamRef{{Queue: "a", Kind: broker.Returned}, {Queue: "a"}}, 10, 2*time.Second)
		if err != nil && ctx.Err() == nil {
			return err
		}
		for _, e := range entries {
			out := broker.Completion{Entry: e, In: a, Outs: []broker.Output{{Queue: b, Batch: e.Batch}}}
			if outcomes, err := c.Complete(ctx, []broker.Completion{out}); err != nil || outcomes[0] != broker.Committed {
				return fmt.Errorf("%v: %w", outcomes, err)
			}
		}
	}
	return nil
}
