package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// The item that a group of failures names can be looked up, also after its delivery.
func TestWhereNamesTheFailureOfADeliveredItem(t *testing.T) {
	t.Parallel()
	odd := workers.Define("odd", func(_ context.Context, n int) (int, error) {
		if n == 3 {
			return 0, errors.New("three is refused")
		}
		return n, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{0, 1, 2, 3}), bridge.Name("in"), bridge.DurableSource("source"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), odd, q, executor.Name("out"))
		if err != nil {
			t.Fatal(err)
		}
		results, err := bridge.Gather(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			<-results
		}
		testkit.Eventually(t, func() bool {
			found, err := ex.Where(t.Context(), "source", 3)
			return err == nil && len(found) == 1 && strings.Contains(found[0].Text, "; it has failed in stage out (error: three is refused)")
		}, "the failure is named")
		found, err := ex.Where(t.Context(), "source", 2)
		if err != nil || strings.Contains(found[0].Text, "failed in") {
			t.Errorf("an item without a failure: %+v, %v", found, err)
		}
		for _, name := range []string{"out", "in"} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}, odd)
}

// A dead letter is named for an item of it, also if its source is gone.
func TestWhereNamesTheDeadLetterOfAnItem(t *testing.T) {
	t.Parallel()
	server, ns := testkit.SharedRedis(t), testkit.Namespace(t)
	ex, err := executor.New(t.Context(), server.URL()+"/?ns="+ns)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer raw.Close()
	for range 150 { // more than are read at once
		raw.XAdd(t.Context(), &redis.XAddArgs{Stream: "{" + ns + ":0}:dead", Values: []string{"q", "other", "s", "other", "o", "7", "n", "1", "why", "{}", "p", ""}})
	}
	id := raw.XAdd(t.Context(), &redis.XAddArgs{
		Stream: "{" + ns + ":0}:dead",
		Values: []string{"q", "in", "s", "source", "o", "5", "n", "2", "why", `{"code":"crashed","msg":"5 workers died"}`, "p", ""},
	}).Val()
	for offset, want := range map[int64]string{4: "", 5: "; it is in dead letter " + id + " of queue in (crashed: 5 workers died)", 6: "; it is in dead letter ", 7: ""} {
		for _, source := range []string{"source", "source~1"} {
			found, err := ex.Where(t.Context(), source, offset)
			if err != nil || len(found) != 1 || found[0].State != inspect.Gone || !strings.Contains(found[0].Text, want) || want == "" && strings.Contains(found[0].Text, "letter") {
				t.Errorf("item %d of %s: %+v, %v", offset, source, found, err)
			}
		}
	}
	if found, err := ex.Where(t.Context(), "source2", 5); err != nil || strings.Contains(found[0].Text, "letter") {
		t.Errorf("another source: %+v, %v", found, err)
	}
}
