package workers_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A test binary with workerURL in its environment is a worker.
const (
	workerURL   = "DQBRIDGE_TEST_WORKER"
	workerLease = "DQBRIDGE_TEST_LEASE"
	lease       = 500 * time.Millisecond
)

func TestMain(m *testing.M) {
	url := os.Getenv(workerURL)
	if url == "" {
		testkit.Main(m)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	lease, err := time.ParseDuration(os.Getenv(workerLease))
	if err == nil {
		var w *workers.Worker
		w, err = workers.New(url, workers.Concurrency(2), workers.Functions(held, add, kills, deaf), workers.Lease(lease),
			workers.Logger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
		if err == nil {
			err = w.Run(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// An item of held names a folder. The first call for it makes the file "taken" there and returns
// when there is a file "go". Any other call returns at once.
var (
	held = workers.Define("held", func(ctx context.Context, folder string) (string, error) {
		if !strings.HasPrefix(folder, "/") {
			return folder, nil
		}
		f, err := os.OpenFile(filepath.Join(folder, "taken"), os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return "again", nil
		}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for !exists(filepath.Join(folder, "go")) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		return "first", f.Close()
	})
	add = workers.Define("add", func(_ context.Context, x int) (int, error) { return x + 1, nil })
)

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// startWorker starts a worker process, which ends with the test.
func startWorker(t *testing.T, url string, lease time.Duration) *os.Process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerURL+"="+url, workerLease+"="+lease.String())
	log, err := os.Create(filepath.Join(t.TempDir(), "worker.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT) // the process may be gone
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("worker %d:\n%s", cmd.Process.Pid, text)
		}
	})
	return cmd.Process
}

// fleet returns an executor on a namespace of the shared server, and worker processes on the same.
func fleet(t *testing.T, n int) (*executor.Executor, []*os.Process) {
	t.Helper()
	return leased(t, n, lease)
}

// leased returns a fleet with a lease of its own.
func leased(t *testing.T, n int, lease time.Duration) (*executor.Executor, []*os.Process) {
	t.Helper()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	ex, err := executor.New(t.Context(), url, executor.Lease(lease))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	processes := make([]*os.Process, n)
	for i := range processes {
		processes[i] = startWorker(t, url, lease)
	}
	testkit.Eventually(t, func() bool {
		live, err := ex.Workers(t.Context())
		return err == nil && len(live) == n
	}, "the workers join")
	return ex, processes
}

// holder returns the process that has taken the item of a folder.
func holder(t *testing.T, ex *executor.Executor, processes []*os.Process, folder string) *os.Process {
	t.Helper()
	testkit.Eventually(t, func() bool { return exists(filepath.Join(folder, "taken")) }, "an item is taken")
	// Find it by the consumers that the registry names.
	for _, p := range processes {
		if fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.Pid)); err == nil {
			for _, fd := range fds {
				if to, err := os.Readlink(fd); err == nil && to == filepath.Join(folder, "taken") {
					return p
				}
			}
		}
	}
	t.Fatal("nobody has the file open")
	return nil
}

func stream(t *testing.T, ex *executor.Executor, items []string) <-chan bridge.Result[string] {
	t.Helper()
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(items))
	if err != nil {
		t.Fatal(err)
	}
	if q, err = executor.Map(t.Context(), held, q); err != nil {
		t.Fatal(err)
	}
	out, err := bridge.Gather(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func values(t *testing.T, out <-chan bridge.Result[string]) (got []string) {
	t.Helper()
	for r := range out {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		got = append(got, r.Value)
	}
	return got
}

func TestAKilledWorkerLosesNothing(t *testing.T) {
	ex, processes := fleet(t, 2)
	folder := t.TempDir()
	out := stream(t, ex, []string{"a", folder, "b"})
	if err := holder(t, ex, processes, folder).Kill(); err != nil {
		t.Fatal(err)
	}
	if got := values(t, out); !slices.Equal(got, []string{"a", "again", "b"}) {
		t.Errorf("got %q", got)
	}
}

func TestAStoppedWorkerChangesNothing(t *testing.T) {
	ex, processes := fleet(t, 2)
	folder := t.TempDir()
	out := stream(t, ex, []string{"a", folder, "b"})
	zombie := holder(t, ex, processes, folder)
	old := workerOf(t, ex, zombie.Pid)
	if err := zombie.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The other process runs its entries, and the stream goes on.
	var got []string
	for range 3 {
		r := <-out
		got = append(got, r.Value)
	}
	if err := os.WriteFile(filepath.Join(folder, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := zombie.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got = append(got, values(t, out)...); !slices.Equal(got, []string{"a", "again", "b"}) {
		t.Errorf("got %q", got)
	}
	testkit.Eventually(t, func() bool {
		id := workerOf(t, ex, zombie.Pid)
		return old != "" && id != "" && id != old
	}, "the stopped worker joins again under another id")
	second := t.TempDir()
	if err := os.WriteFile(filepath.Join(second, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := values(t, stream(t, ex, []string{second, "c"})); !slices.Equal(got, []string{"first", "c"}) {
		t.Errorf("afterwards %q", got)
	}
}

// workerOf returns the id of the worker in a process, "" if it is not alive.
func workerOf(t *testing.T, ex *executor.Executor, pid int) string {
	t.Helper()
	live, err := ex.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range live {
		if w.PID == pid {
			return w.ID
		}
	}
	return ""
}

// A connection is cut after the server has run a command and before its reply arrives, again and
// again, for all clients.
func TestLostRepliesAddNothingTwice(t *testing.T) {
	proxy := testkit.NewProxy(t, testkit.SharedRedis(t).Addr())
	ex, err := executor.New(t.Context(), proxy.URL()+"/?ns="+testkit.Namespace(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := ex.Register(add); err != nil {
		t.Fatal(err)
	}
	in := make(chan int)
	q, err := bridge.Scatter(t.Context(), ex, in)
	if err != nil {
		t.Fatal(err)
	}
	if q, err = executor.Map(t.Context(), add, q); err != nil {
		t.Fatal(err)
	}
	out, err := bridge.Gather(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	const n = 300
	go func() {
		defer close(in)
		for i := range n {
			if i%10 == 0 { // the next command loses its reply
				cut := proxy.CutAfterRequest(func([]byte) bool { return true })
				in <- i
				<-cut
				continue
			}
			in <- i
		}
	}()
	next := 1
	for r := range out {
		if r.Err != nil || r.Value != next {
			t.Fatalf("result %d, %v where %d belongs", r.Value, r.Err, next)
		}
		next++
	}
	if next != n+1 {
		t.Errorf("%d results of %d", next-1, n)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}
