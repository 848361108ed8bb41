package workers_test

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// seen returns the last heartbeat of the worker in a process.
func seen(t *testing.T, ex *executor.Executor, pid int) (beat time.Time) {
	t.Helper()
	live, err := ex.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range live {
		if w.PID == pid {
			beat = w.Seen
		}
	}
	return beat
}

// The entries of a killed worker come back before any lease has run out. A stopped worker, whose
// last heartbeat is older, counts as alive all the time.
func TestAKilledWorkerIsFoundAndAStoppedOneIsNot(t *testing.T) {
	t.Parallel()
	ex, processes := leased(t, 3, 20*time.Second)
	folder := t.TempDir()
	out := stream(t, ex, []string{folder})
	killed := holder(t, ex, processes, folder)
	stopped := processes[(slices.Index(processes, killed)+1)%3]
	old := workerOf(t, ex, stopped.Pid)
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return seen(t, ex, killed.Pid).After(seen(t, ex, stopped.Pid)) }, "a beat of the other one")
	if err := killed.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := values(t, out); !slices.Equal(got, []string{"again"}) {
		t.Errorf("got %q", got)
	}
	if id := workerOf(t, ex, stopped.Pid); id != old {
		t.Errorf("the stopped worker was %q and is %q", old, id)
	}
	if workerOf(t, ex, killed.Pid) != "" {
		t.Error("the killed worker is alive")
	}
	beat := seen(t, ex, stopped.Pid)
	if err := stopped.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return seen(t, ex, stopped.Pid).After(beat) }, "it beats again")
	if id := workerOf(t, ex, stopped.Pid); id != old {
		t.Errorf("the stopped worker was %q and goes on as %q", old, id)
	}
	second := t.TempDir()
	if err := os.WriteFile(second+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := values(t, stream(t, ex, []string{second})); !slices.Equal(got, []string{"first"}) {
		t.Errorf("afterwards %q", got)
	}
}
