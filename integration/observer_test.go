package integration

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// plantLetter makes a dead letter whose item is in a payload key. It returns its id.
func plantLetter(t *testing.T, admin *redis.Client, item string) string {
	t.Helper()
	frame := append([]byte{1, byte(2*len(item)) | 0x80, byte(2 * len(item) >> 7)}, item...)
	err := admin.Set(t.Context(), "{dq:0}:f:large", frame, 0).Err()
	id, failed := admin.XAdd(t.Context(), &redis.XAddArgs{Stream: "{dq:0}:dead", Values: []any{
		"q", "orders", "s", "source", "o", 7, "n", 1, "a", 0, "k", 5, "d", "w-1 1764446400000 host", "why", `{"code":"crashed"}`, "f", "large",
	}}).Result()
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	return id
}

// The verbs that list need the rights of an observer only, join no registry and write no warning,
// also while the fleet works.
func TestObserverListsWithoutWarning(t *testing.T) {
	t.Parallel()
	const calls = 10
	address, admin := secured(t)
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	stop := employ(t, address("worker"), workers.Functions(inc))
	operator := connected(t, address("operator"))
	item := strings.Repeat("large ", 500)
	id := plantLetter(t, admin, item)

	traffic, end := context.WithCancel(t.Context())
	var load, group errgroup.Group
	load.Go(func() error {
		for traffic.Err() == nil {
			f, err := executor.Submit(t.Context(), operator, inc, 1)
			if err == nil {
				_, err = f.Result(t.Context())
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	group.SetLimit(3)
	for verb, want := range map[string]string{
		"functions": "inc", "dead list": "source", "dead show " + id: item, "dead export --all": `"host":"host"`, "queues": "QUEUE", "workers": "inc", "stages": "STAGE",
		"flows": "FLOW", "sources": "SOURCE", "gathers": "WANTS", "errors": "MESSAGE", "history --flows": "TOOK", "doctor --only D24": "ok", "top": "workers: 1",
	} {
		for range calls {
			group.Go(func() error {
				var out, told bytes.Buffer
				cmd := exec.CommandContext(t.Context(), "dqbridge", strings.Fields(verb)...)
				cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS="+address("observer"))
				cmd.Stdout, cmd.Stderr = &out, &told
				if err := cmd.Run(); err != nil || told.Len() > 0 || !strings.Contains(out.String(), want) {
					t.Errorf("%s: %v, on stderr %q, on stdout %.300q", verb, err, told.String(), out.String())
				}
				return nil
			})
		}
	}
	_ = group.Wait() // its functions return nil
	end()
	if err := load.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	noDenials(t, admin, "config|get", "info") // top does without INFO
}
