package integration

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// port is a program of the port of docs/protocol.md to Python.
func port(t *testing.T, server *testkit.Server, program string, args ...string) (cmd *exec.Cmd, complaints *bytes.Buffer) {
	t.Helper()
	path := filepath.Join(root, "integration/testdata/port", program)
	cmd = exec.CommandContext(t.Context(), "python3", append([]string{"-B", path, server.Addr(), "dq"}, args...)...)
	complaints = new(bytes.Buffer)
	cmd.Stderr = complaints
	return cmd, complaints
}

// startWorker starts the worker of the port. end ends it and wants that it leaves.
func startWorker(t *testing.T, server *testkit.Server) (end func()) {
	t.Helper()
	cmd, complaints := port(t, server, "worker.py")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		_ = cmd.Wait()
		t.Fatalf("the worker says %q, %v: %s", line, err, complaints)
	}
	return func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, out); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the worker ends with %v: %s", err, complaints)
		}
	}
}

// A worker in Python runs the items of a scatter in Go, and a gather in Go gets the results in order: small items in batches, an
// item above the size of a payload, failures, and a retry.
func TestProtocolPortWorks(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	end := startWorker(t, server)
	ex, err := executor.New(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long ", 1000)
	words := []string{"", "naïve", long}
	for i := range 2000 {
		words = append(words, "word "+strconv.Itoa(i))
	}
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(words))
	if err == nil {
		q, err = executor.Map(t.Context(), workers.Remote[string, string]("upper"), q, executor.MaxSize(100))
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for word, err := range bridge.All(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, word)
	}
	for i, word := range words {
		words[i] = strings.ToUpper(word)
	}
	if !slices.Equal(got, words) {
		t.Errorf("%d of %d results, or in another order: %.200q", len(got), len(words), got)
	}
	failsTwice(t, ex)
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	end()
	seen, err := executor.NewInspector(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()
	if live, err := seen.Workers(t.Context()); err != nil || len(live) != 0 {
		t.Errorf("workers after the end: %v, %v", live, err)
	}
}

// failsTwice wants two items to fail in each of two attempts.
func failsTwice(t *testing.T, ex *executor.Executor) {
	t.Helper()
	fails, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]string{"a", "b"}))
	if err == nil {
		fails, err = executor.Map(t.Context(), workers.Remote[string, string]("broken"), fails, executor.Retries(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, err := range bridge.All(t.Context(), fails) {
		var item *executor.ItemError
		if !errors.As(err, &item) || item.Attempts != 2 || item.Function != "broken" {
			t.Errorf("the failure is %v", err)
		}
		failed++
	}
	if failed != 2 {
		t.Errorf("%d failures", failed)
	}
}

// A producer in Python scatters numbers, makes a stage over them, and gathers the results of a worker in Go in order.
func TestProtocolPortScattersAndGathers(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	double := workers.Define("double", func(_ context.Context, x int) (int, error) {
		if x == 13 {
			return 0, errors.New("unlucky")
		}
		return 2 * x, nil
	})
	w, err := workers.New(server.URL(), workers.Functions(double))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	cmd, complaints := port(t, server, "flow.py", "map", "double")
	var in, want strings.Builder
	for i := range 5000 {
		in.WriteString(strconv.Itoa(i) + "\n")
		want.WriteString(strconv.Itoa(2*i) + "\n")
	}
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the flow ends with %v: %s", err, complaints)
	}
	got := strings.Split(string(out), "\n")
	if len(got) > 13 && strings.HasPrefix(got[13], "failure ") && strings.Contains(got[13], "unlucky") {
		got[13] = "26"
	}
	if strings.Join(got, "\n") != want.String() {
		t.Errorf("the results are %.300q", out)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// dqbridge check kills the worker in Python, gives it entries with a history, and fills the memory.
func TestProtocolPortPassesTheCheck(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	worker, _ := port(t, server, "worker.py")
	out, err := exec.CommandContext(t.Context(), "dqbridge", "check", "--redis", server.URL(), "--fn", "upper", "--fails", "broken", "--full-memory",
		"--worker", strings.Join(worker.Args, " ")).CombinedOutput()
	if ok := regexp.MustCompile(`(?m)^ok `).FindAll(out, -1); err != nil || len(ok) != 8 {
		t.Errorf("%d checks are ok, %v: %s", len(ok), err, out)
	}
}

// A gather in Python takes a queue over from a gather in Go that has acknowledged some items, also behind others.
func TestProtocolPortTakesOver(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	ex, err := executor.New(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	q, err := bridge.ScatterSeq(t.Context(), ex, func(yield func(int) bool) {
		for i := 0; i < 3000 && yield(i); i++ {
		}
	}, bridge.Name("numbers"), bridge.Seal())
	if err != nil {
		t.Fatal(err)
	}
	isAcked := func(i int) bool { return i < 500 || 700 <= i && i < 1000 || i > 2000 && i%3 == 0 }
	ctx, leave := context.WithCancel(t.Context())
	results, err := bridge.Gather(ctx, q, bridge.ManualAck())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2500 {
		if r := <-results; r.Err != nil || r.Value != i {
			t.Fatalf("result %d is %v, %v", i, r.Value, r.Err)
		} else if isAcked(i) {
			r.Ack()
		}
	}
	leave()
	for range results {
	}
	if <-q.Done(); q.Err() != nil {
		t.Fatal(q.Err())
	}
	if err := ex.Close(); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range 3000 {
		if i >= 2500 || !isAcked(i) {
			want.WriteString(strconv.Itoa(i) + "\n")
		}
	}
	cmd, complaints := port(t, server, "flow.py", "gather", "numbers")
	if out, err := cmd.Output(); err != nil || string(out) != want.String() {
		t.Errorf("the items that were left are %.300q, %v: %s", out, err, complaints)
	}
}
