package testkit

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// A failureRecorder records the failures that a test would report.
type failureRecorder struct {
	testing.TB
	said []string
}

func (h *failureRecorder) Errorf(format string, args ...any) {
	h.said = append(h.said, fmt.Sprintf(format, args...))
}

// pairOf connects two redis-servers. The clock of the second one is not controlled.
func pairOf(t *testing.T) (twins *Differential, second *Server, heard *failureRecorder) {
	t.Helper()
	second, heard = StartRedis(t), &failureRecorder{TB: t}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", second.Addr())
	}
	return NewDifferential(heard, dial, func(time.Time) {}), second, heard
}

func TestDifferencesAreReported(t *testing.T) {
	t.Parallel()
	twins, second, heard := pairOf(t)
	client := dial(t, twins.URL())
	for _, text := range []string{"same", "other"} {
		if err := client.Set(t.Context(), "key", text, 0).Err(); err != nil {
			t.Fatal(err)
		}
		twins.Compare()
		if text == "same" {
			if len(heard.said) > 0 {
				t.Fatalf("of what is the same it tells %q", heard.said)
			}
			continue
		}
		ask(t, second, "APPEND", "key", "!").must(t)
		twins.Compare()
	}
	if len(heard.said) != 1 || !strings.Contains(heard.said[0], "GET") || !strings.Contains(heard.said[0], `"other!"`) {
		t.Fatalf("it tells %q", heard.said)
	}
	ask(t, second, "RPUSH", "list", "x").must(t)
	if err := client.Get(t.Context(), "list").Err(); err == nil || len(heard.said) != 2 { // nil and WRONGTYPE
		t.Fatalf("it tells %q", heard.said)
	}
	if ran := twins.Ran(); ran["GET"] != 4 || len(twins.Unseen()) != len(differences) {
		t.Errorf("it compared %v, unseen are %q", ran, twins.Unseen())
	}
}

// Some of these commands are undone, since a millisecond ends while they run. Each counts once.
func TestUndoneCommandCountsOnce(t *testing.T) {
	t.Parallel()
	twins, _, heard := pairOf(t)
	client := dial(t, twins.URL())
	const n = 2000
	for range n {
		client.Incr(t.Context(), "count")
	}
	if got := client.Get(t.Context(), "count").Val(); got != fmt.Sprint(n) || len(heard.said) > 0 {
		t.Errorf("%d times make %s, %q", n, got, heard.said)
	}
}

func TestBlockingCommandsAreCompared(t *testing.T) {
	t.Parallel()
	twins, _, heard := pairOf(t)
	client := dial(t, twins.URL())
	got := make(chan string)
	go func() {
		reply, err := client.Do(t.Context(), "XREAD", "BLOCK", "30000", "STREAMS", "stream", "0").Result()
		got <- fmt.Sprint(reply, err)
	}()
	Eventually(t, func() bool { return twins.Ran()["XREAD"] > 0 }, "a read that waits")
	if err := client.Do(t.Context(), "XADD", "stream", "1-1", "a", "b").Err(); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "[[stream [[1-1 [a b]]]]] <nil>" || len(heard.said) > 0 {
		t.Errorf("it reads %s, %q", text, heard.said)
	}
	if err := client.Do(t.Context(), "NONSENSE").Err(); err == nil || len(heard.said) > 0 {
		t.Errorf("a command that is none: %v, %q", err, heard.said)
	}
}
