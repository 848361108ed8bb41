// Package fullmemory tests flows on Redis servers with little memory: producers fill it, and every
// flow still ends whole and in order.
package fullmemory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) { testkit.MainWithCommands(m, "../..") }

// limit is the time after which a flow counts as one that stands still.
const limit = 3 * time.Minute

// A load is what several producers scatter.
type load struct {
	memory    string // maxmemory
	producers int
	items     int // of each producer
	size      int // bytes of an item
	grown     int // bytes of a result
}

// Several producers have much more to store than fits. All flows end, with all results in order.
func TestFlowsEndInLittleMemory(t *testing.T) {
	t.Parallel()
	for _, l := range []load{
		{"6mb", 1, 300, 100_000, 100_000},
		{"6mb", 4, 60, 100_000, 100_000},
		{"6mb", 6, 40, 60_000, 200_000},
		{"6mb", 3, 20, 1_000_000, 1000},
		{"6mb", 6, 1500, 1500, 3000},
		{"16mb", 2, 6, 4_000_000, 4_000_000},
	} {
		t.Run(fmt.Sprintf("%d producers of %d items of %d bytes", l.producers, l.items, l.size), func(t *testing.T) { l.run(t) })
	}
}

func (l load) run(t *testing.T) {
	server := testkit.StartRedis(t, "--maxmemory", l.memory)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	work := workers.Define("work", func(_ context.Context, b []byte) ([]byte, error) {
		return append(b[:8:8], bytes.Repeat(b[7:8], l.grown-8)...), nil
	})
	stop := startWorker(t, server, work)
	var said safeLog
	var group errgroup.Group
	for p := range l.producers {
		group.Go(func() error { return l.flow(ctx, server.URL(), work, p, &said) })
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	if !strings.Contains(said.text(), "redis is full: ") {
		t.Errorf("memory was never full: %s", said.text())
	}
	if keys := left(t, server); len(keys) > 0 {
		t.Errorf("keys are left: %v", keys)
	}
}

// startWorker starts a worker with four slots. stop ends it.
func startWorker(t *testing.T, server *testkit.Server, fns ...workers.Function) (stop func()) {
	t.Helper()
	w, err := workers.New(server.URL(), workers.Functions(fns...), workers.Concurrency(4), workers.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	running, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(running) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// flow scatters the items of one producer and compares their results.
func (l load) flow(ctx context.Context, url string, work workers.Func[[]byte, []byte], p int, said *safeLog) (err error) {
	ex, err := executor.New(ctx, url, executor.Logger(slog.New(slog.NewTextHandler(said, nil))))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	in, err := bridge.ScatterSeq(ctx, ex, func(yield func([]byte) bool) {
		for i := range l.items {
			if !yield(l.item(p, i, l.size)) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	out, err := executor.Map(ctx, work, in)
	if err != nil {
		return err
	}
	n := 0
	for v, err := range bridge.All(ctx, out) {
		if err != nil {
			return fmt.Errorf("producer %d, result %d of %d: %w", p, n, l.items, err)
		}
		if !bytes.Equal(v, l.item(p, n, l.grown)) {
			return fmt.Errorf("producer %d: result %d is %.30q of %d bytes", p, n, v, len(v))
		}
		n++
	}
	if n != l.items {
		return fmt.Errorf("producer %d: %d results of %d", p, n, l.items)
	}
	return nil
}

// item begins with its number, and consists of one letter of its producer otherwise.
func (l load) item(p, i, size int) []byte {
	return append(fmt.Appendf(nil, "%7d", i), bytes.Repeat([]byte{byte('a' + p)}, size-7)...)
}

// left returns the keys that are left.
func left(t *testing.T, server *testkit.Server) []string {
	t.Helper()
	return testkit.Keys(t, server.URL(), "*")
}

// A safeLog collects log lines.
type safeLog struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (s *safeLog) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines.Write(line)
}

func (s *safeLog) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines.String()
}
