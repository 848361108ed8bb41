package workers_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A measuredNetwork records the largest number of arguments of a command.
type measuredNetwork struct{ arguments atomic.Int64 }

type measuredConn struct {
	net.Conn
	*measuredNetwork
}

func (n *measuredNetwork) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	return &measuredConn{conn, n}, err
}

func (c *measuredConn) Write(request []byte) (int, error) {
	if head, _, found := bytes.Cut(request, []byte("\r\n")); found && request[0] == '*' {
		if n, err := strconv.ParseInt(string(head[1:]), 10, 64); err == nil {
			for old := c.arguments.Load(); n > old && !c.arguments.CompareAndSwap(old, n); old = c.arguments.Load() {
			}
		}
	}
	return c.Conn.Write(request)
}

// A service answers at once, except for a time in which each call takes long.
type service struct{ calls atomic.Int64 }

const (
	serviceItems = 20_000
	slowFrom     = 5_000
	slowCalls    = 300
)

func (s *service) answer(ctx context.Context, x int) (int, error) {
	if n := s.calls.Add(1); n < slowFrom || n >= slowFrom+slowCalls {
		return x, nil
	}
	select {
	case <-time.After(50 * time.Millisecond):
		return x, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// failures makes every second one of the first items fail once.
type failures struct{ failed sync.Map }

func (f *failures) of(x int) error {
	if _, again := f.failed.LoadOrStore(x, true); x%2 == 1 && x < 3000 && !again {
		return errors.New("not yet")
	}
	return nil
}

func (f *failures) one(_ context.Context, x int) (int, error) { return x, f.of(x) }

func (f *failures) all(_ context.Context, xs []int) ([]int, error) {
	failed := workers.Errors{}
	for i, x := range xs {
		if err := f.of(x); err != nil {
			failed[i] = err
		}
	}
	return xs, failed
}

// Redis answers no other client while it runs a command. So no command may be large, for any change
// of batches by a function.
func TestNoCommandHasManyArguments(t *testing.T) {
	t.Parallel()
	retries := []executor.MapOption{executor.Retries(1), executor.Backoff(time.Millisecond, time.Millisecond)}
	for name, c := range map[string]struct {
		f       workers.Func[int, int]
		options []executor.MapOption
	}{
		"slow":              {workers.Define("ask", new(service).answer), nil},
		"half fail":         {workers.Define("fail", new(failures).one), retries},
		"batches":           {workers.DefineBatch("fail", new(failures).all), retries},
		"a small out-queue": {workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil }), []executor.MapOption{executor.MaxSize(5)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			network := new(measuredNetwork)
			through(t, network, c.f, c.options...)
			if n := network.arguments.Load(); n > 10_000 {
				t.Errorf("a command has %d arguments", n)
			}
		})
	}
}

// through sends items through a function of a worker behind a network, and expects them all.
func through(t *testing.T, network *measuredNetwork, f workers.Func[int, int], options ...executor.MapOption) {
	t.Helper()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	w := must(workers.New(url, workers.Dialer(network.dial), workers.Concurrency(64), workers.Functions(f)))(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	ex := must(executor.New(t.Context(), url))(t)
	items := func(yield func(int) bool) {
		for x := 0; x < serviceItems && yield(x); x++ {
		}
	}
	q := must(bridge.ScatterSeq(t.Context(), ex, items))(t)
	testkit.Eventually(t, func() bool { // large batches, which no worker reads so far
		n, err := q.Len(t.Context())
		return err == nil && n == serviceItems
	}, "all items are stored")
	q = must(executor.Map(t.Context(), f, q, options...))(t)
	seen := map[int]bool{}
	for r := range must(bridge.Gather(t.Context(), q, bridge.Unordered()))(t) {
		if r.Err != nil || seen[r.Value] {
			t.Fatalf("got %+v", r)
		}
		seen[r.Value] = true
	}
	if len(seen) != serviceItems {
		t.Errorf("%d of %d items", len(seen), serviceItems)
	}
	stop()
	if err := errors.Join(<-ended, ex.Close()); err != nil {
		t.Error(err)
	}
}
