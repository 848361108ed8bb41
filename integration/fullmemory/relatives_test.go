package fullmemory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// open starts an executor that ends with the test.
func open(ctx context.Context, t *testing.T, server *testkit.Server) *executor.Executor {
	t.Helper()
	ex, err := executor.New(ctx, server.URL(), executor.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	return ex
}

// Callers of a Producer fill the memory. All Sends return, every other attempt fails and
// its item waits for the next one, and each value is gathered.
func TestSendsAndRetriesEndInLittleMemory(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, "--maxmemory", "6mb")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var calls atomic.Int64
	flaky := workers.Define("flaky", func(_ context.Context, b []byte) ([]byte, error) {
		if calls.Add(1)%2 == 1 {
			return nil, errors.New("every other time")
		}
		return b, nil
	})
	defer startWorker(t, server, flaky)()
	ex := open(ctx, t, server)
	p, err := bridge.NewProducer[[]byte](ctx, ex)
	if err != nil {
		t.Fatal(err)
	}
	const callers, each, size = 8, 25, 100_000
	var group errgroup.Group
	for caller := range callers {
		group.Go(func() error {
			for range each {
				if err := p.Send(ctx, bytes.Repeat([]byte{byte('a' + caller)}, size)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	out, err := executor.Map(ctx, flaky, p.Queue(), executor.Retries(100), executor.Backoff(10*time.Millisecond, 20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = errors.Join(group.Wait(), p.Close()) }() // Send's errors are those of group.Wait below
	n := [callers]int{}
	for v, err := range bridge.All(ctx, out) {
		if err != nil {
			t.Fatal(err)
		}
		n[v[0]-'a']++
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	for caller := range callers {
		if n[caller] != each {
			t.Errorf("caller %d has %d results of %d", caller, n[caller], each)
		}
	}
	if calls.Load() <= callers*each {
		t.Errorf("%d attempts", calls.Load())
	}
}

// A stage is made, and futures get their results, after a scatter has filled the memory. The worker
// that stores these results makes room for the scatter.
func TestLateStageAndFuturesEndInLittleMemory(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, "--maxmemory", "8mb")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	same := workers.Define("same", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	var said safeLog
	producer, err := executor.New(ctx, server.URL(), executor.Logger(slog.New(slog.NewTextHandler(&said, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = producer.Close() }()
	const n, size = 300, 50_000
	in, err := bridge.ScatterSeq(ctx, producer, func(yield func([]byte) bool) {
		for range n {
			if !yield(make([]byte, size)) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ex := open(ctx, t, server)
	values := make([][]byte, 20)
	for i := range values {
		values[i] = bytes.Repeat([]byte{byte(i)}, size)
	}
	testkit.Eventually(t, func() bool { return strings.Contains(said.text(), "redis is full") }, "the memory is full")
	out, err := executor.Map(ctx, same, in)
	if err != nil {
		t.Fatal(err)
	}
	defer startWorker(t, server, same)()
	got := make(chan int, 1)
	go func() {
		n := 0
		for _, err := range bridge.All(ctx, out) {
			if err == nil {
				n++
			}
		}
		got <- n
	}()
	futures, err := executor.MapSlice(ctx, ex, same, values)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range futures {
		if v, err := f.Result(ctx); err != nil || !bytes.Equal(v, values[i]) {
			t.Fatalf("the result of future %d is %.10q, %v", i, v, err)
		}
	}
	if got := <-got; got != n {
		t.Errorf("%d results of %d", got, n)
	}
}

// Two scatters of lines fill the memory before the stages behind them exist. The commands end with
// all lines in order.
func TestCommandsEndInLittleMemory(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, "--maxmemory", "8mb")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	const lines, size = 300, 50_000
	command := func(stdin io.Reader, name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env, cmd.Stdin = append(os.Environ(), "DQBRIDGE_REDIS="+server.URL()), stdin
		return cmd
	}
	var input bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&input, "%d%s\n", i, strings.Repeat("x", size))
	}
	var said [2]safeLog
	var group errgroup.Group
	for i := range said {
		scatter := command(bytes.NewReader(input.Bytes()), "dqbridge", "scatter", "--seal", fmt.Sprint("in", i))
		scatter.Stderr = &said[i]
		group.Go(scatter.Run)
	}
	testkit.Eventually(t, func() bool { return strings.Contains(said[0].text()+said[1].text(), "redis is full: ") }, "the memory is full")
	for i := range said {
		if out, err := command(nil, "dqbridge", "map", "same", fmt.Sprint("in", i), fmt.Sprint("out", i)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	worker := command(nil, "dqworker", "--fn", "same=exec:cat")
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range said {
		gather := command(nil, "dqbridge", "gather", fmt.Sprint("out", i))
		group.Go(func() error {
			out, err := gather.Output()
			if err == nil && !bytes.Equal(out, input.Bytes()) {
				err = fmt.Errorf("queue %d has %d bytes of %d", i, len(out), input.Len())
			}
			return err
		})
	}
	if err := errors.Join(group.Wait(), worker.Process.Signal(os.Interrupt), worker.Wait()); err != nil {
		t.Error(err)
	}
}
