package integration

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
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
	url, raw := server.URL()+"/?ns="+ns, redis.NewClient(&redis.Options{Addr: server.Addr()})
	err := rejectAll(t.Context(), url, "q", items[:1])
	malformed := &redis.XAddArgs{Stream: "{" + ns + ":0}:dead", Values: []any{"q", "q", "n", "many", "p", "?"}}
	err = errors.Join(err, raw.XAdd(t.Context(), malformed).Err(), raw.Close(), rejectAll(t.Context(), url, "q", items[1:]))
	if err != nil {
		t.Fatal(err)
	}
}

// rejectAll scatters items into a queue, and gathers it and gives each item back until it is a dead
// letter.
func rejectAll(ctx context.Context, url, queue string, items []string, opts ...bridge.ScatterOption) error {
	ex, err := executor.New(ctx, url)
	if err != nil {
		return err
	}
	q, err := bridge.ScatterSeq(ctx, ex, slices.Values(items), append(opts, bridge.Name(queue))...)
	if err != nil {
		return errors.Join(err, ex.Close())
	}
	results, err := bridge.Gather(ctx, q, bridge.ManualAck(), bridge.MaxDeliveries(1))
	if err != nil {
		return errors.Join(err, ex.Close())
	}
	for dead := 0; dead < len(items); {
		if r := <-results; r.Err == nil {
			r.Nack(0)
		} else {
			r.Ack()
			dead++
		}
	}
	return ex.Close()
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
	if out, told, status := run("dead", "drop", "--all", "--yes"); out != "" || status != 0 {
		t.Errorf("drop: %d %q %q", status, out, told)
	}
	if out, told, status := run("dead", "list", "--json"); out != "[]\n" || status != 0 {
		t.Errorf("list: %d %q %q", status, out, told)
	}
}
