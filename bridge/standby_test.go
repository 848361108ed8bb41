package bridge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A test binary that finds consumerURL in its environment gathers the queue orders, says
// how many results it has, acknowledges none and waits to be killed.
const consumerURL = "DQBRIDGE_TEST_CONSUMER"

func consume(url string) error {
	ctx := context.Background()
	ex, err := executor.New(ctx, url, executor.Lease(lease))
	if err != nil {
		return err
	}
	q, err := executor.Open[int](ctx, ex, "orders")
	if err != nil {
		return err
	}
	results, err := bridge.Gather(ctx, q, bridge.ManualAck())
	if err != nil {
		return err
	}
	n := 0
	for range results {
		n++
		fmt.Println(n)
	}
	return nil
}

// startConsumer starts a consumer process, which has n results; kill ends it as kill -9
// does.
func startConsumer(t *testing.T, url string, n int) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), consumerURL+"="+url)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); n > 0; n-- {
		if !lines.Scan() {
			t.Fatal("the consumer ended by itself")
		}
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// A standby of this lease hears of the queue in time, or not at all.
const longLease = time.Hour

// awaits gathers a queue in the background, as a standby.
func awaits[T any](t *testing.T, ctx context.Context, q *executor.Queue[T], opts ...bridge.GatherOption) <-chan (<-chan bridge.Result[T]) {
	t.Helper()
	has := make(chan (<-chan bridge.Result[T]), 1)
	go func() {
		results, err := bridge.Gather(ctx, q, append(opts, bridge.Wait())...)
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		has <- results
	}()
	return has
}

// waiting are the members of the key that lists those who wait for the queue orders.
func waitingFor(t *testing.T, raw *redis.Client, ns string) []string {
	t.Helper()
	return raw.ZRange(t.Context(), "{"+ns+":0}:standby:orders", 0, -1).Val()
}

func TestAStandbyGathersOnceTheQueueIsReleased(t *testing.T) {
	ns := testkit.Namespace(t)
	url := testkit.SharedRedis(t).URL() + "/?ns=" + ns
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr(), Protocol: 2})
	defer raw.Close()
	var executors []*executor.Executor
	var queues []*executor.Queue[int]
	for i := range 3 {
		ex := must(executor.New(t.Context(), url, executor.Lease(longLease)))(t)
		executors = append(executors, ex)
		if i == 0 {
			queues = append(queues, scatter(t, ex, upTo(10), bridge.Name("orders")))
			continue
		}
		queues = append(queues, must(executor.Open[int](t.Context(), ex, "orders"))(t))
	}
	first, end := context.WithCancel(t.Context())
	results := must(bridge.Gather(first, queues[0], bridge.Buffer(0)))(t)
	second, leave := context.WithCancel(t.Context())
	two, both := awaits(t, second, queues[1], bridge.Buffer(0)), awaits(t, second, queues[1])
	left, give := context.WithCancel(t.Context())
	gone := awaits(t, left, queues[2])
	waitFor(t, func() bool { return len(waitingFor(t, raw, ns)) == 2 })
	give()
	if results := <-gone; results != nil {
		t.Error("one that left gathers")
	}
	waitFor(t, func() bool { return len(waitingFor(t, raw, ns)) == 1 })
	if r := <-results; r.Value != 0 || r.Err != nil {
		t.Errorf("got %v", r)
	}
	end()
	var got <-chan bridge.Result[int]
	select {
	case got = <-two:
	case got = <-both:
	}
	for next := 1; next < 10; next++ {
		if r := <-got; r.Value != next || r.Err != nil {
			t.Errorf("%v in the place of %d", r, next)
		}
	}
	waitFor(t, func() bool { return len(waitingFor(t, raw, ns)) == 1 }) // the other one of the same executor
	leave()
	if err := errors.Join(executors[1].Close(), executors[2].Close(), executors[0].Delete(t.Context(), "orders"), executors[0].Close()); err != nil {
		t.Error(err)
	}
	if left := testkit.Keys(t, testkit.SharedRedis(t).URL(), "{"+ns+":*"); len(left) > 0 {
		t.Errorf("keys are left: %q", left)
	}
}

func TestAStandbyGathersOnceTheHolderIsDead(t *testing.T) {
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t) // the killed one leaves its registration behind
	waits := must(executor.New(t.Context(), url, executor.Lease(lease)))(t)
	q := scatter(t, waits, upTo(10), bridge.Name("orders"), bridge.Seal())
	kill := startConsumer(t, url, 3)
	has := awaits(t, t.Context(), q)
	kill()
	results := <-has
	for next := range 10 {
		if r := <-results; r.Value != next || r.Err != nil {
			t.Errorf("%v in the place of %d", r, next)
		}
	}
	if err := errors.Join(waits.Delete(t.Context(), "orders"), waits.Close()); err != nil {
		t.Error(err)
	}
}

func TestAStandbyIsToldWhatCannotBe(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(1), bridge.Name("orders"))
		ctx, end := context.WithCancel(t.Context())
		defer end()
		must(bridge.Gather(ctx, q))(t)
		deleted := make(chan error, 1)
		go func() {
			_, err := bridge.Gather(t.Context(), q, bridge.Wait())
			deleted <- err
		}()
		if err := ex.Delete(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
		if err := <-deleted; !errors.Is(err, executor.ErrQueueNotFound) {
			t.Errorf("the queue was deleted: %v", err)
		}
		mapped := scatter(t, ex, upTo(1))
		stage(t, inc, mapped)
		if _, err := bridge.Gather(t.Context(), mapped, bridge.Wait()); !errors.Is(err, executor.ErrConsumerExists) {
			t.Errorf("a stage reads the queue: %v", err)
		}
	}, inc)
}

func TestAStandbyEndsWithItsExecutor(t *testing.T) {
	url := namespace(t)
	holds, waits := connect(t, url), must(executor.New(t.Context(), url))(t)
	q := scatter(t, holds, upTo(1), bridge.Name("orders"))
	must(bridge.Gather(t.Context(), q))(t)
	again, told := must(executor.Open[int](t.Context(), waits, "orders"))(t), make(chan error, 1)
	go func() {
		_, err := bridge.Gather(t.Context(), again, bridge.Wait())
		told <- err
	}()
	if err := waits.Close(); err != nil {
		t.Error(err)
	}
	if err := <-told; !errors.Is(err, executor.ErrClosed) {
		t.Errorf("told %v", err)
	}
	if err := holds.Delete(t.Context(), "orders"); err != nil {
		t.Error(err)
	}
}
