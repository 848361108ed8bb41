package workers_test

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A countedNetwork counts the connections that a worker opens.
type countedNetwork struct{ opened atomic.Int64 }

func (n *countedNetwork) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.opened.Add(1)
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// Flows run in several partitions at once. The worker takes, completes, reports and sends heartbeats.
func TestWorkerHasTwoConnections(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?partitions=8&ns=" + testkit.Namespace(t)
	var network countedNetwork
	same := workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil })
	w := must(workers.New(url, workers.Dialer(network.dial), workers.Concurrency(4), workers.Functions(same)))(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	for range 8 { // executors choose their partitions by chance
		ex := must(executor.New(t.Context(), url))(t)
		in := make(chan int, 100)
		for i := range 100 {
			in <- i
		}
		close(in)
		q := must(executor.Map(t.Context(), same, must(bridge.Scatter(t.Context(), ex, in))(t)))(t)
		var got []int
		for r := range must(bridge.Gather(t.Context(), q))(t) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			got = append(got, r.Value)
		}
		if len(got) != 100 || !slices.IsSorted(got) {
			t.Errorf("the flow yields %v", got)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := network.opened.Load(); n != 2 {
		t.Errorf("the worker opened %d connections", n)
	}
}
