package integration

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// deadLetters makes dead letters of items in the open queue q, and a malformed one between them.
func deadLetters(t *testing.T, server *testkit.Server, ns string, items ...string) {
	t.Helper()
	ex, err := executor.New(t.Context(), server.URL()+"/?ns="+ns)
	if err != nil {
		t.Fatal(err)
	}
	in := make(chan string, len(items))
	for _, item := range items {
		in <- item
	}
	close(in)
	q, err := bridge.Scatter(t.Context(), ex, in, bridge.Name("q"))
	if err != nil {
		t.Fatal(err)
	}
	results, err := bridge.Gather(t.Context(), q, bridge.ManualAck(), bridge.MaxDeliveries(1))
	if err != nil {
		t.Fatal(err)
	}
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	for dead := 0; dead < len(items); {
		r := <-results
		if r.Err == nil {
			r.Nack(0)
			continue
		}
		r.Ack()
		if dead++; dead == 1 {
			err = raw.XAdd(t.Context(), &redis.XAddArgs{Stream: "{" + ns + ":0}:dead", Values: []any{"q", "q", "n", "many", "p", "?"}}).Err()
		}
	}
	if err := errors.Join(err, raw.Close(), ex.Close()); err != nil {
		t.Fatal(err)
	}
}

// With --all, an error with one dead letter is reported, and the others are processed.
func TestDeadAllSkipsMalformed(t *testing.T) {
	t.Parallel()
	server, ns := testkit.StartRedis(t), testkit.Namespace(t)
	deadLetters(t, server, ns, "one", "two")
	run := func(args ...string) (out, told string, status int) {
		var o, e bytes.Buffer
		cmd := exec.Command("dqbridge", args...)
		cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS="+server.URL()+"/?ns="+ns)
		cmd.Stdout, cmd.Stderr = &o, &e
		if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
		return o.String(), e.String(), cmd.ProcessState.ExitCode()
	}
	if out, told, status := run("dead", "show", "--all"); out != "one\ntwo\n" || status != 1 || strings.Count(told, "\n") != 1 {
		t.Errorf("show: %d %q %q", status, out, told)
	}
	if out, told, status := run("dead", "retry", "--all"); out != "" || status != 1 || !strings.Contains(told, "not a valid batch") {
		t.Errorf("retry: %d %q %q", status, out, told)
	}
	if out, told, status := run("dead", "list"); strings.Count(out, "\n") != 2 || status != 0 {
		t.Errorf("list: %d %q %q", status, out, told)
	}
	if out, told, status := run("dead", "drop", "--all"); out != "" || status != 0 {
		t.Errorf("drop: %d %q %q", status, out, told)
	}
	if out, told, status := run("dead", "list", "--json"); out != "[]\n" || status != 0 {
		t.Errorf("list: %d %q %q", status, out, told)
	}
}
