package operate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/metrics"
)

// crowd are the flows of a large namespace. Each has two queues.
const crowd = 500

// A tripConn counts the requests that a client sends before it waits for a reply.
type tripConn struct {
	net.Conn
	trips *atomic.Int64
	asked bool
}

func (c *tripConn) Write(p []byte) (int, error) {
	if !c.asked {
		c.trips.Add(1)
	}
	c.asked = true
	return c.Conn.Write(p)
}

func (c *tripConn) Read(p []byte) (int, error) {
	c.asked = false
	return c.Conn.Read(p)
}

// each calls a function for each flow, several at a time.
func each(t *testing.T, do func(flow string) error) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	for i := range crowd {
		group.Go(func() error { return do(fmt.Sprint("f", i)) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// series returns the number of series of a collector.
func series(t *testing.T, registry *prometheus.Registry) (n int) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n
}

// Each list of a thousand queues takes few round trips, and the metrics of the queues and stages go
// with them.
func TestPlantedCrowdIsListedAndGoes(t *testing.T) {
	t.Parallel()
	url := testkit.StartRedis(t).URL()
	var trips atomic.Int64
	see, err := executor.NewInspector(t.Context(), url, executor.Logger(nil), executor.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &tripConn{Conn: conn, trips: &trips}, err
	}))
	ex, failed := executor.New(t.Context(), url, executor.Logger(nil))
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(ex.Close(), see.Close()); err != nil {
			t.Error(err)
		}
	}()
	fleet, err := metrics.NewFleet(t.Context(), ex, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(fleet)
	var before int
	testkit.Eventually(t, func() bool { before = series(t, registry); return before > 10 }, "the empty namespace is read")
	each(t, func(flow string) error {
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{1, 2, 3}), bridge.Name(flow))
		if err == nil {
			_, err = executor.Map(t.Context(), takes("nobody", 0), q, executor.Name(flow+"-out"))
		}
		return err
	})
	for what, list := range map[string]func() (int, error){
		"snapshot": func() (int, error) {
			s, err := see.Snapshot(t.Context())
			return min(len(s.Queues)/2, len(s.Stages), len(s.Sources)), err
		},
		"errors": func() (int, error) {
			_, err := see.Errors(t.Context())
			return crowd, err
		},
	} {
		trips.Store(0)
		if n, err := list(); err != nil || n != crowd {
			t.Errorf("%s has %d flows, %v", what, n, err)
		}
		if n := trips.Load(); n == 0 || n > 20 { // a command needs some more to connect
			t.Errorf("%s takes %d round trips", what, n)
		}
	}
	testkit.Eventually(t, func() bool { return series(t, registry) > before+crowd*10 }, "the flows have series")
	each(t, func(flow string) error {
		return errors.Join(ex.Delete(t.Context(), flow), ex.Delete(t.Context(), flow+"-out"))
	})
	testkit.Eventually(t, func() bool { return series(t, registry) == before }, "the series are as many as at the start")
}
