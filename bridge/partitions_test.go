package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// spread is the address of a namespace with 8 partitions.
func spread(t *testing.T) string {
	t.Helper()
	return testkit.SharedRedis(t).URL() + "/?partitions=8&ns=" + testkit.Namespace(t)
}

// apart are Executors in different partitions, each with a named queue.
func apart(t *testing.T, url string, n int) (all []*executor.Executor, queues []*executor.Queue[int]) {
	t.Helper()
	seen := map[int]bool{}
	for len(all) < n {
		ex, name := connect(t, url), fmt.Sprintf("orders-%d", len(seen))
		q := scatter(t, ex, upTo(10), bridge.Name(name), bridge.Seal())
		found := must(ex.Queues(t.Context()))(t)
		at := found[slices.IndexFunc(found, func(i inspect.Queue) bool { return i.Name == name })].Partition
		if seen[at] {
			if err := errors.Join(ex.Flush(t.Context()), ex.Delete(t.Context(), name)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		seen[at] = true
		all, queues = append(all, ex), append(queues, q)
	}
	return all, queues
}

// A name is used once, wherever its queue is.
func TestANameIsUsedOnceInAllPartitions(t *testing.T) {
	url := spread(t)
	all, queues := apart(t, url, 2)
	joined := scatter(t, all[1], []int{}, bridge.Name("open"))
	again := scatter(t, all[0], []int{1, 2}, bridge.Name("open"))
	if err := errors.Join(all[0].Flush(t.Context()), joined.Seal(t.Context())); err != nil {
		t.Fatal(err)
	}
	want(t, values(t, again), 1, 2)
	stage(t, inc, queues[0], executor.Name("results"))
	if _, err := executor.Map(t.Context(), inc, queues[1], executor.Name("results")); !errors.Is(err, executor.ErrConsumerExists) {
		t.Errorf("a second queue results was made: %v", err)
	}
	if err := all[1].Delete(t.Context(), "results"); err != nil {
		t.Fatal(err)
	}
	stage(t, inc, queues[1], executor.Name("results"))
	for _, name := range []string{"results", "open"} {
		if err := all[0].Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if _, err := executor.Open[int](t.Context(), all[0], "results"); !errors.Is(err, executor.ErrQueueNotFound) {
		t.Errorf("a deleted queue was found: %v", err)
	}
}

// A flow stays within a partition.
func TestNoFlowCrossesPartitions(t *testing.T) {
	url := spread(t)
	all, queues := apart(t, url, 2)
	far := must(executor.Open[int](t.Context(), all[0], queues[1].Name()))(t)
	if _, err := executor.Merge(t.Context(), queues[0], far); !errors.Is(err, executor.ErrPartitions) {
		t.Errorf("two partitions were merged: %v", err)
	}
	sum := workers.Define2("sum", func(_ context.Context, a, b int) (int, error) { return a + b, nil })
	if _, err := executor.Map2(t.Context(), sum, queues[0], far); !errors.Is(err, executor.ErrPartitions) {
		t.Errorf("two partitions were brought together: %v", err)
	}
	near := scatter(t, all[0], upTo(10))
	merged := must(executor.Merge(t.Context(), near, scatter(t, all[0], upTo(10))))(t)
	work(t, url, sum)
	if got := values(t, merged); len(got) != 20 {
		t.Errorf("merged are %v", got)
	}
}

// An Executor is active in one partition of any number, until it uses a queue in another one.
func TestAnExecutorJoinsThePartitionsThatItUses(t *testing.T) {
	url := spread(t)
	all, queues := apart(t, url, 2)
	ns := url[strings.LastIndex(url, "=")+1:]
	joined := func() (most int) {
		seats := map[string]int{}
		for _, key := range testkit.Keys(t, testkit.SharedRedis(t).URL(), "{"+ns+":*}:e:*") {
			id := key[strings.LastIndex(key, ":")+1:]
			seats[id]++
			most = max(most, seats[id])
		}
		return most
	}
	if n := joined(); n != 1 {
		t.Errorf("an Executor with one flow is in %d partitions", n)
	}
	want(t, values(t, must(executor.Open[int](t.Context(), all[0], queues[1].Name()))(t)), upTo(10)...)
	if n := joined(); n != 2 {
		t.Errorf("an Executor that gathers in another one is in %d partitions", n)
	}
}

// Dead letters are found in every partition.
func TestDeadLettersOfAllPartitions(t *testing.T) {
	url := spread(t)
	all, queues := apart(t, url, 3)
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
	defer raw.Close()
	work(t, url, inc)
	ns := url[strings.LastIndex(url, "=")+1:]
	for _, q := range queues {
		stage(t, inc, q)
		keys := testkit.Keys(t, testkit.SharedRedis(t).URL(), "{"+ns+":*}:q:"+q.Name())
		if err := raw.XAdd(t.Context(), &redis.XAddArgs{Stream: keys[0], Values: []string{"no", "batch"}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	letters := func() (ids []string) {
		for d, err := range all[0].DeadLetters(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, d.ID)
		}
		return ids
	}
	waitFor(t, func() bool { return len(letters()) == len(queues) })
	for _, id := range letters() {
		if err := all[1].DeleteDeadLetter(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if left := letters(); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

// A dead letter is retried to a queue in another partition.
func TestDeadLetterIsRetriedInAnotherPartition(t *testing.T) {
	url := spread(t)
	all, queues := apart(t, url, 2)
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
	defer raw.Close()
	ns := url[strings.LastIndex(url, "=")+1:]
	prefix, _, _ := strings.Cut(testkit.Keys(t, testkit.SharedRedis(t).URL(), "{"+ns+":*}:q:"+queues[1].Name())[0], "}:q:")
	must(raw.XAdd(t.Context(), &redis.XAddArgs{Stream: prefix + "}:dead", Values: []any{
		"q", queues[1].Name(), "s", "source", "o", 5, "n", 1, "a", 0, "k", 5, "why", `{"code":"crashed"}`, "p", "\x01\x04" + "77",
	}}).Result())(t)
	var id string
	for d, err := range all[0].DeadLetters(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		id = d.ID
	}
	open := must(bridge.ScatterSeq(t.Context(), all[0], slices.Values([]int{1}), bridge.Name("open")))(t)
	words := must(bridge.ScatterSeq(t.Context(), all[0], slices.Values([]string{"a"}), bridge.Name("words")))(t)
	if err := all[0].RetryDeadLetter(t.Context(), id, words.Name()); !errors.Is(err, executor.ErrTypeMismatch) {
		t.Errorf("to a queue of another type: %v", err)
	}
	if err := all[0].RetryDeadLetter(t.Context(), id, "nothing"); !errors.Is(err, executor.ErrQueueNotFound) {
		t.Errorf("to no queue: %v", err)
	}
	if err := all[0].RetryDeadLetter(t.Context(), id, open.Name()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(all[0].Flush(t.Context()), open.Seal(t.Context())); err != nil {
		t.Fatal(err)
	}
	got := values(t, open)
	slices.Sort(got)
	if !slices.Equal(got, []int{1, 77}) {
		t.Errorf("the queue holds %v", got)
	}
	if err := all[0].RetryDeadLetter(t.Context(), id, open.Name()); !errors.Is(err, executor.ErrDeadLetterNotFound) {
		t.Errorf("again: %v", err)
	}
}

// The hands of a worker are shared by all partitions.
func TestAWorkerHasItsSlotsInAllPartitions(t *testing.T) {
	url := spread(t)
	_, queues := apart(t, url, 4)
	var running, most atomic.Int64
	count := workers.Define("count", func(_ context.Context, x int) (int, error) {
		now := running.Add(1)
		defer running.Add(-1)
		<-time.After(2 * time.Millisecond) // others would begin meanwhile
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		return x, nil
	})
	out := make([]*executor.Queue[int], len(queues))
	for i, q := range queues {
		out[i] = stage(t, count, q)
	}
	work(t, url, count) // on two hands
	for _, q := range out {
		want(t, values(t, q), upTo(10)...)
	}
	if most.Load() > 2 {
		t.Errorf("two hands ran %d items at once", most.Load())
	}
}
