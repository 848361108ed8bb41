package dqtest

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/workers"
)

// address is the address of the broker; it selects the default namespace.
const address = "redis://127.0.0.1:6379"

// A Fleet is a broker and the processes connected to it. Its methods are safe for concurrent use
// inside the bubble.
type Fleet struct {
	t      testing.TB
	server *embedded.Server
	log    slog.Handler

	mu        sync.Mutex
	processes []*Process
}

// Run runs a test with a Fleet, in a bubble of testing/synctest. It must not be called inside
// another bubble. When test returns, Run ends all live processes, Executors first, and reports left
// keys and goroutines as errors of the test.
func Run(t *testing.T, test func(t *testing.T, f *Fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		f := &Fleet{t: t, server: embedded.New(), log: slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})}
		t.Cleanup(f.end) // also runs after t.FailNow
		test(t, f)
	})
}

// Values runs items through a pipeline and returns its results in the order of the items. build
// makes the stages over a queue of the items and returns the queue of the results; a worker runs
// the functions. If build fails or a result is an error, the test fails at once; use Run to test
// errors. Values must not be called inside a bubble.
func Values[In, Out any](t *testing.T, build func(ctx context.Context, items *executor.Queue[In]) (*executor.Queue[Out], error),
	items []In, functions ...workers.Function) (values []Out) {
	t.Helper()
	Run(t, func(t *testing.T, f *Fleet) {
		t.Helper()
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(functions...))
		in := make(chan []In, 1)
		in <- items
		close(in)
		q, err := bridge.ScatterSlices(t.Context(), ex, in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := build(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for v, err := range bridge.All(t.Context(), out) {
			if err != nil {
				t.Fatalf("result %d: %v", len(values), err)
			}
			values = append(values, v)
		}
	})
	return values
}

// StartExecutor connects an Executor as a separate process. opts are options of executor.New.
// Warnings go to the log of the test, unless opts set a Logger. An Executor that the test does not
// close is closed at its end.
func (f *Fleet) StartExecutor(opts ...executor.Option) (*executor.Executor, *Process) {
	f.t.Helper()
	p := f.start()
	ex, err := executor.New(p.context(context.WithoutCancel(f.t.Context())), address, slices.Concat([]executor.Option{executor.Logger(p.log())}, opts, []executor.Option{executor.Dialer(p.dial)})...)
	if err != nil {
		f.t.Fatal(err)
	}
	p.close, p.executor = ex.Close, true
	return ex, p
}

// StartWorker runs a worker as a separate process and returns when it is registered. opts are
// options of workers.New. Warnings go to the log of the test, unless opts set a Logger.
func (f *Fleet) StartWorker(opts ...workers.Option) *Process {
	f.t.Helper()
	p := f.start()
	w, err := workers.New(address, slices.Concat([]workers.Option{workers.Logger(p.log())}, opts, []workers.Option{workers.Dialer(p.dial)})...)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.context(context.WithoutCancel(f.t.Context())))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	p.close = sync.OnceValue(func() error { cancel(); return <-ended })
	select {
	case <-w.Ready():
	case err := <-ended:
		ended <- err
		f.t.Fatalf("the worker has ended: %v", err)
	}
	return p
}

// start adds a process.
func (f *Fleet) start() *Process {
	p := &Process{fleet: f, conns: map[*conn]bool{}, kills: map[int]func(){}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.processes = append(f.processes, p)
	return p
}

// all returns the processes in the order of their start.
func (f *Fleet) all() []*Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.processes)
}

// CutConnections closes the connections of all processes, like a restart of Redis without data
// loss. The processes connect again.
func (f *Fleet) CutConnections() {
	for _, p := range f.all() {
		p.cut()
	}
}

// LoseData empties the broker and closes all connections, like a restart of a Redis without
// persistence. Its items become errors for which errors.Is(err, executor.ErrLost) is true.
func (f *Fleet) LoseData() {
	f.t.Helper()
	f.CutConnections()
	if err := f.flush(); err != nil {
		f.t.Fatal(err)
	}
}

// Dial connects to the broker, which speaks the protocol of Redis. It ignores the address. Use it
// as the dialer of a go-redis client that reads the keys.
func (f *Fleet) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return f.server.Dial(ctx, network, addr)
}

// Queues waits until all goroutines of the test wait, and returns the queues of the namespace by
// name. The numbers do not change until virtual time advances.
func (f *Fleet) Queues() []inspect.Queue {
	f.t.Helper()
	synctest.Wait()
	ctx := context.WithoutCancel(f.t.Context())
	o, err := executor.NewInspector(ctx, address, executor.Dialer(f.server.Dial))
	if err != nil {
		f.t.Fatal(err)
	}
	defer o.Close()
	queues, err := o.Queues(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return queues
}

// Keys waits until all goroutines of the test wait, and returns the names of all keys of the
// broker, unordered. docs/protocol.md documents the keys.
func (f *Fleet) Keys() []string {
	synctest.Wait()
	return f.server.Keys()
}
