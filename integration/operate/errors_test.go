package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// kinds are failures whose messages differ in each item.
var kinds = []func(n int) error{
	func(n int) error { return fmt.Errorf("order %d is not in stock", n) },
	func(int) error { return fmt.Errorf("session %s has ended", uuid.NewString()) },
	func(n int) error { return fmt.Errorf("user %q does not exist", "user-"+strconv.Itoa(n)) },
	func(n int) error { return fmt.Errorf("connection to 10.0.%d.%d:80 refused", n>>8&255, n&255) },
	func(n int) error { return fmt.Errorf("checksum %016x is wrong", uint64(n)*0x9e3779b97f4a7c15) },
}

// memory returns the memory of all keys of a server, in bytes.
func memory(t *testing.T, raw *redis.Client) (bytes int64) {
	t.Helper()
	names, err := raw.Keys(t.Context(), "*").Result()
	for _, name := range names {
		n, failed := raw.MemoryUsage(t.Context(), name, 0).Result() // 0: each field is counted
		if failed != nil && !errors.Is(failed, redis.Nil) {         // a key may have gone
			err = errors.Join(err, failed)
		}
		bytes += n
	}
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// However many items fail, in as many messages, the failures are in one group for each kind, each is
// counted, and Redis does not keep them.
func TestPlantedFailuresAreGrouped(t *testing.T) {
	t.Parallel()
	n := 20_000
	if *long {
		n = 1_000_000
	}
	server := testkit.StartRedis(t)
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	ex, err := executor.New(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(ex.Close(), raw.Close()); err != nil {
			t.Error(err)
		}
	}()
	fails := workers.Define("fails", func(_ context.Context, n int) (int, error) { return 0, kinds[n%len(kinds)](n) })
	if err := ex.Register(fails); err != nil {
		t.Fatal(err)
	}
	in := make(chan int)
	q, err := bridge.Scatter(t.Context(), ex, in, bridge.Name("orders"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), fails, q, executor.Name("done"))
	if err != nil {
		t.Fatal(err)
	}
	results, err := bridge.Gather(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	few := 1000
	pass(t, in, results, 0, few)
	testkit.Eventually(t, func() bool { return grouped(t, ex, few) }, "the first failures are in a group for each kind")
	before := memory(t, raw)
	pass(t, in, results, few, n)
	testkit.Eventually(t, func() bool { return grouped(t, ex, n) }, "each failure is counted in the group of its kind")
	testkit.Eventually(t, func() bool { return memory(t, raw) < before+100<<10 }, "Redis needs no more memory than before")
	t.Logf("%d failures: keys of %d bytes before, %d after", n, before, memory(t, raw))
	close(in)
}

// grouped reports whether n failures are counted, in a group for each kind.
func grouped(t *testing.T, ex *executor.Executor, n int) bool {
	t.Helper()
	groups, err := ex.Errors(t.Context())
	return err == nil && len(groups) == len(kinds) && !slices.ContainsFunc(groups, func(g inspect.ErrorGroup) bool {
		return g.Stage != "done" || g.Message == "" || g.Count != int64(n/len(kinds))
	})
}

// pass sends the items from one number to another, and takes their failures.
func pass(t *testing.T, in chan<- int, results <-chan bridge.Result[int], from, to int) {
	t.Helper()
	go func() {
		for n := from; n < to; n++ {
			in <- n
		}
	}()
	for n := from; n < to; n++ {
		if r := <-results; r.Err == nil {
			t.Fatalf("item %d has not failed", n)
		}
	}
}
