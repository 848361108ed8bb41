package broker_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// manyMailboxes runs a test with the shared Readers of a worker, one in each of 8 partitions, and the
// number of its connections.
func manyMailboxes(t *testing.T, test func(t *testing.T, readers []*broker.Reader, parts []*broker.Client, dials *atomic.Int64)) {
	t.Helper()
	run := func(t *testing.T, dial func(ctx context.Context, network, addr string) (net.Conn, error), url string) {
		t.Helper()
		dials := new(atomic.Int64)
		c, err := broker.Open(url+"/?partitions=8&ns="+testkit.Namespace(t), broker.Options{Shared: true, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, network, addr)
		}})
		c = opened(t, c, err)
		if err := c.Connect(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		m := c.MailboxReader(time.Minute)
		ctx, stop := context.WithCancel(t.Context())
		var receiving sync.WaitGroup
		receiving.Go(func() { m.Run(ctx) })
		t.Cleanup(func() { stop(); receiving.Wait() })
		var readers []*broker.Reader
		for i, part := range c.Partitions() {
			id := fmt.Sprintf("w%d", i)
			if err := part.Join(t.Context(), broker.RoleWorker, id, nil); err != nil {
				t.Fatal(err)
			}
			lease := part.Lease(broker.RoleWorker, id, time.Minute)
			t.Cleanup(lease.Close)
			reader := lease.SharedReader(time.Minute, m)
			t.Cleanup(func() { _ = reader.Close() })
			readers = append(readers, reader)
		}
		test(t, readers, c.Partitions(), dials)
	}
	t.Run("embedded", func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		run(t, server.Dial, "redis://127.0.0.1")
	})
	t.Run("redis", func(t *testing.T) { run(t, new(net.Dialer).DialContext, testkit.SharedRedis(t).URL()) })
}

// receive reads until a hint about what arrives.
func receive(t *testing.T, r *broker.Reader, what string) {
	t.Helper()
	for {
		_, hints, err := r.Read(t.Context(), nil, 1, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hints {
			if h.What == what {
				return
			}
		}
	}
}

func TestHintsOfAllPartitionsComeOnOneConnection(t *testing.T) {
	t.Parallel()
	manyMailboxes(t, func(t *testing.T, readers []*broker.Reader, parts []*broker.Client, dials *atomic.Int64) {
		for round := range 2 {
			for i, r := range readers {
				what := fmt.Sprint(round, i)
				got := make(chan struct{})
				go func() {
					defer close(got)
					receive(t, r, what)
				}()
				must[any](t)(nil, parts[i].SendHint(t.Context(), fmt.Sprintf("w%d", i), broker.Hint{Kind: broker.HintStages, What: what}))
				<-got
			}
		}
		if dials.Load() != 2 {
			t.Errorf("%d connections", dials.Load())
		}
	})
}

func TestRestHasAllHintsOfMailbox(t *testing.T) {
	t.Parallel()
	manyMailboxes(t, func(t *testing.T, readers []*broker.Reader, parts []*broker.Client, _ *atomic.Int64) {
		for i, r := range readers {
			for n := range 3 {
				must[any](t)(nil, parts[i].SendHint(t.Context(), fmt.Sprintf("w%d", i), broker.Hint{Kind: broker.HintStages, What: fmt.Sprint(n)}))
			}
			named := map[string]bool{}
			for _, h := range must[[]broker.Hint](t)(r.Rest(t.Context())) {
				named[h.What] = true
			}
			if !named["0"] || !named["1"] || !named["2"] {
				t.Errorf("reader %d: %v", i, named)
			}
		}
	})
}

// The mailbox of a process that was declared dead is gone. The others receive hints as before.
func TestOneMissingMailboxStopsNoOther(t *testing.T) {
	t.Parallel()
	manyMailboxes(t, func(t *testing.T, readers []*broker.Reader, parts []*broker.Client, _ *atomic.Int64) {
		must[any](t)(parts[0].Raw().Del(t.Context(), parts[0].Key("p:w0")).Result())
		if _, _, err := readers[0].Read(t.Context(), nil, 1, time.Minute); err == nil {
			t.Error("the mailbox that is gone was read")
		}
		for i, r := range readers[1:] {
			got := make(chan struct{})
			go func() {
				defer close(got)
				receive(t, r, "x")
			}()
			must[any](t)(nil, parts[i+1].SendHint(t.Context(), fmt.Sprintf("w%d", i+1), broker.Hint{Kind: broker.HintStages, What: "x"}))
			<-got
		}
		must[any](t)(nil, parts[0].Join(t.Context(), broker.RoleWorker, "w0", nil))
		must[any](t)(nil, parts[0].SendHint(t.Context(), "w0", broker.Hint{Kind: broker.HintStages, What: "again"}))
		receive(t, readers[0], "again")
	})
}
