package flow_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// These variables, set to the URL of a server, make the test binary a worker, or a gather of the queue out.
const (
	workerURL = "DQBRIDGE_TEST_FLOW_WORKER"
	gatherURL = "DQBRIDGE_TEST_FLOW_GATHER"
)

const lease = 500 * time.Millisecond

func TestMain(m *testing.M) {
	role, url := work, os.Getenv(workerURL)
	if url == "" {
		role, url = acknowledgeSome, os.Getenv(gatherURL)
	}
	if url == "" {
		testkit.Main(m)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := role(ctx, url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func work(ctx context.Context, url string) error {
	w, err := workers.New(url, workers.Concurrency(2), all, workers.Functions(hundred, below, slowStore), workers.Lease(lease))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// acknowledged is the number of results that a gather process acknowledges.
const acknowledged = 4321

// acknowledgeSome gathers the queue out and writes a line once its acknowledgements are stored. It receives
// the other results without an acknowledgement.
func acknowledgeSome(ctx context.Context, url string) error {
	ex, err := executor.New(ctx, url, executor.Lease(lease))
	if err != nil {
		return err
	}
	q, err := executor.Open[int](ctx, ex, "out")
	if err != nil {
		return err
	}
	results, err := bridge.Gather(ctx, q, bridge.ManualAck())
	if err != nil {
		return err
	}
	n := 0
	for r := range results {
		if n++; n > acknowledged {
			continue
		}
		if err := errors.Join(r.Err, r.AckWait(ctx)); err != nil {
			return err
		}
		if n == acknowledged {
			fmt.Println("acknowledged")
		}
	}
	return ctx.Err()
}

// slowStore fails for each thousandth row.
var slowStore = workers.DefineSink("slowstore", func(_ context.Context, row int) error {
	if row%1000 == 0 {
		return errDuplicate
	}
	<-time.After(100 * time.Microsecond)
	return nil
})

// startWorker starts a worker as a process, which the end of the test kills.
func startWorker(t *testing.T, url string) *exec.Cmd {
	t.Helper()
	cmd := process(t, workerURL, url)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// process returns a process of the test binary, which the end of the test kills.
func process(t *testing.T, role, url string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), role+"="+url), os.Stderr
	t.Cleanup(func() { _ = cmd.Wait() })
	return cmd
}

// Three workers on a server run a flow, and one of them is killed: each input has its output, in its
// place, once. The queue behind the filter counts its inputs and its items.
func TestFilterSurvivesKilledWorker(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	ex, err := executor.New(t.Context(), url, executor.Lease(lease))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Close() })
	victim := startWorker(t, url)
	startWorker(t, url)
	startWorker(t, url)
	const n = 60_000
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(n)), bridge.MaxInFlight(n/8))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := filterBy(even, executor.NoFuse(), executor.Name("kept"))(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	out, err := through(mapBy(inc), filterBy(not3))(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	results, err := bridge.Gather(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for x := 0; x < n; x += 2 {
		if keep, err := keepNot3(t.Context(), x+1); err != nil {
			want = append(want, fmt.Sprintf("%d:err", x))
		} else if keep {
			want = append(want, fmt.Sprintf("%d:%d", x, x+1))
		}
	}
	at := 0
	for r := range results {
		if at == len(want) || resultOf(r) != want[at] {
			t.Fatalf("result %d is %s", at, resultOf(r))
		}
		if at++; at == len(want)/2 {
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if at != len(want) {
		t.Errorf("%d results of %d", at, len(want))
	}
	checkInputs(t, ex, kept.Name(), n)
}

// checkInputs compares the inputs of a queue with its items, of which there are half as many.
func checkInputs(t *testing.T, ex *executor.Executor, name string, n int64) {
	t.Helper()
	queues, err := ex.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(queues, func(q inspect.Queue) bool { return q.Name == name })
	if at < 0 || queues[at].Inputs != n || queues[at].Added != n/2 {
		t.Errorf("the queues are %+v", queues)
	}
}

// Three workers run two flat maps of a hundred outputs each, and one of them is killed: each output comes
// once, in its place, and the queues count one input.
func TestFlatMapSurvivesKilledWorker(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	ex, err := executor.New(t.Context(), url, executor.Lease(lease))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Close() })
	victim := startWorker(t, url)
	startWorker(t, url)
	startWorker(t, url)
	in := upTo(6)
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(in))
	if err != nil {
		t.Fatal(err)
	}
	out, err := through(flatMapBy(hundred), flatMapBy(hundred, executor.Name("twice")), mapBy(inc))(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	results, err := bridge.Gather(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	want, at := expected(in, hundredOf, hundredOf, incOf), 0
	for r := range results {
		if at == len(want) || resultOf(r) != want[at] {
			t.Fatalf("result %d is %s", at, resultOf(r))
		}
		if at++; at == 5_000 {
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if at != len(want) {
		t.Errorf("%d results of %d", at, len(want))
	}
	if inputs := inputsOf(t, ex, "twice"); inputs != len(in) {
		t.Errorf("the queue has %d inputs", inputs)
	}
}

// A gather process is killed within the outputs for one input, with results that it has not acknowledged. Its
// successor gets these, and no other one.
func TestSuccessorOfKilledGatherGoesOnWithinGroup(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	ex, err := executor.New(t.Context(), url, executor.Lease(lease))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Close() })
	startWorker(t, url)
	startWorker(t, url)
	in := []int{5}
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(in), bridge.Name("in"), bridge.Seal())
	if err != nil {
		t.Fatal(err)
	}
	out, err := through(flatMapBy(hundred, executor.Name("first")), flatMapBy(hundred, executor.Name("out")))(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	victim := process(t, gatherURL, url)
	lines, err := victim.StdoutPipe()
	if err == nil {
		err = victim.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(lines).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	results, err := bridge.Gather(t.Context(), out, bridge.ManualAck(), bridge.Wait())
	if err != nil {
		t.Fatal(err)
	}
	want, at := expected(in, hundredOf, hundredOf), acknowledged
	for r := range results {
		if at == len(want) || resultOf(r) != want[at] {
			t.Fatalf("result %d is %s", at, resultOf(r))
		}
		r.Ack()
		at++
	}
	if at != len(want) {
		t.Errorf("%d results of %d", at, len(want))
	}
}

// Three workers run a sink, and one of them is killed: each failure counts once, and no queue is left.
func TestEachSurvivesKilledWorker(t *testing.T) {
	t.Parallel()
	ns := testkit.Namespace(t)
	url := testkit.SharedRedis(t).URL() + "/?ns=" + ns
	ex, err := executor.New(t.Context(), url, executor.Lease(lease))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Close() })
	victim := startWorker(t, url)
	startWorker(t, url)
	startWorker(t, url)
	const n = 20_000
	rows := func(yield func(int) bool) {
		for x := range n {
			if x == n/2 {
				_ = victim.Process.Kill()
			}
			if !yield(x) {
				return
			}
		}
	}
	q, err := bridge.ScatterSeq(t.Context(), ex, rows, bridge.MaxInFlight(n/8))
	if err != nil {
		t.Fatal(err)
	}
	inced, err := mapBy(inc, executor.NoFuse())(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	err = flow.Each(t.Context(), slowStore, inced)
	var failed *flow.Failed
	var first *executor.ItemError
	if !errors.As(err, &failed) || failed.N != n/1000 || !errors.As(err, &first) || first.Offset != 999 {
		t.Errorf("Each returned %v", err)
	}
	if queues, err := ex.Queues(t.Context()); err != nil || len(queues) > 0 {
		t.Errorf("queues are left: %v, %v", queues, err)
	}
	if left := testkit.Keys(t, testkit.SharedRedis(t).URL(), "{"+ns+":*}:f:*"); len(left) > 0 {
		t.Errorf("payloads are left: %q", left)
	}
}
