package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A test binary that finds producerURL in its environment feeds the queue
// orders, as the source that it finds in producerSource, with the numbers below
// ordered, and says at which it begins.
const (
	producerURL    = "DQBRIDGE_TEST_PRODUCER"
	producerSource = "DQBRIDGE_TEST_SOURCE"
	ordered        = 5000
	lease          = 500 * time.Millisecond
)

func produce(url string) error {
	ctx := context.Background()
	ex, err := executor.New(ctx, url, executor.Lease(lease))
	if err != nil {
		return err
	}
	opts := []bridge.ScatterOption{bridge.Name("orders"), bridge.MaxInFlight(100)}
	if name := os.Getenv(producerSource); name != "" {
		opts = append(opts, bridge.DurableSource(name))
	}
	in := make(chan int)
	q, err := bridge.Scatter(ctx, ex, in, opts...)
	if err != nil {
		return errors.Join(err, ex.Close())
	}
	for v := int(q.Stored()); v < ordered; v++ {
		in <- v
	}
	close(in)
	<-q.Done()
	return errors.Join(q.Err(), ex.Close())
}

// startProducer starts a producer process; kill ends it as kill -9 does. It may be called again.
func startProducer(t *testing.T, url, source string) (kill func(), done <-chan error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), producerURL+"="+url, producerSource+"="+source)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
	})
	return sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		if err := <-ended; err == nil {
			t.Error("the producer ended by itself")
		}
	}), ended
}

// orders gathers the queue that producers feed.
func orders(t *testing.T, ex *executor.Executor) <-chan bridge.Result[int] {
	t.Helper()
	var q *executor.Queue[int]
	waitFor(t, func() bool {
		var err error
		q, err = executor.Open[int](t.Context(), ex, "orders")
		return err == nil
	})
	return must(bridge.Gather(t.Context(), q, bridge.Buffer(0)))(t)
}

func TestADurableSourceGoesOnAfterKills(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t) // the killed leave their registration behind
	ex := must(executor.New(t.Context(), url, executor.Lease(lease)))(t)
	kill, done := startProducer(t, url, "orders-eu")
	results := orders(t, ex)
	away := 0
	for next := 0; next < ordered; {
		r := <-results
		if r.Err != nil {
			if !errors.Is(r.Err, executor.ErrSourceOffline) || !bridge.IsSourceError(r.Err) || !strings.Contains(r.Err.Error(), "orders-eu") {
				t.Fatalf("behind %d: %v", next, r.Err)
			}
			away++
			kill() // one that needs longer than a lease to begin
			kill, done = startProducer(t, url, "orders-eu")
			continue
		}
		if r.Value != next {
			t.Fatalf("%d in the place of %d", r.Value, next)
		}
		switch next++; next {
		case 700, 3000: // its lease runs out
			kill()
		case 1500, 3300: // its successor does not wait for that
			kill()
			kill, done = startProducer(t, url, "orders-eu")
		}
	}
	if err := <-done; err != nil || away < 2 {
		t.Errorf("the last producer: %v; told %d times that the source is away", err, away)
	}
	_, err := bridge.Scatter(t.Context(), ex, make(chan int), bridge.Name("orders"), bridge.DurableSource("orders-eu"))
	var ended *executor.EndedError
	if !errors.As(err, &ended) || ended.Stored != ordered || ended.Source != "orders-eu" {
		t.Errorf("the ended source goes on: %v", err)
	}
	if err := ex.Delete(t.Context(), "orders"); err != nil {
		t.Error(err)
	}
	if r := <-results; !errors.Is(r.Err, executor.ErrQueueNotFound) {
		t.Errorf("the queue was deleted, and %v", r)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}

func TestAProducerThatDiesCutsItsStream(t *testing.T) {
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t) // the killed leave their registration behind
	ex := must(executor.New(t.Context(), url, executor.Lease(lease)))(t)
	kill, _ := startProducer(t, url, "")
	results := orders(t, ex)
	for next := range 200 {
		if r := <-results; r.Value != next || r.Err != nil {
			t.Fatalf("%v in the place of %d", r, next)
		}
	}
	kill()
	next := 200
	for r := range results {
		if r.Err != nil {
			if !errors.Is(r.Err, executor.ErrTruncated) || !strings.Contains(r.Err.Error(), fmt.Sprintf("after %d items of source s.", next)) ||
				!strings.Contains(r.Err.Error(), "its process died") {
				t.Errorf("behind %d: %v", next, r.Err)
			}
			break
		}
		if r.Value != next {
			t.Fatalf("%d in the place of %d", r.Value, next)
		}
		next++
	}
	if err := ex.Delete(t.Context(), "orders"); err != nil {
		t.Error(err)
	}
	if r := <-results; !errors.Is(r.Err, executor.ErrQueueNotFound) {
		t.Errorf("the queue was deleted, and %v", r)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}

func TestASuccessorFencesItsPredecessor(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		first, second := make(chan string), make(chan string)
		q := must(bridge.Scatter(t.Context(), ex, first, bridge.Name("texts"), bridge.DurableSource("a")))(t)
		results := must(bridge.Gather(t.Context(), q))(t)
		first <- "one"
		if r := <-results; q.Stored() != 0 || r.Value != "one" {
			t.Fatalf("it began at %d, with %v", q.Stored(), r)
		}
		successor := must(bridge.Scatter(t.Context(), ex, second, bridge.Name("texts"), bridge.DurableSource("a"), bridge.Seal()))(t)
		if successor.Stored() != 1 {
			t.Errorf("the successor begins at %d", successor.Stored())
		}
		first <- "late"
		second <- "two"
		close(second)
		if r := <-results; r.Value != "two" {
			t.Errorf("the successor sent %v", r)
		}
		if r, ok := <-results; ok {
			t.Errorf("behind the end %v", r)
		}
		<-q.Done()
		if err := q.Err(); !errors.Is(err, executor.ErrFenced) {
			t.Errorf("the predecessor ended with %v", err)
		}
		if err := ex.Delete(t.Context(), "texts"); err != nil {
			t.Error(err)
		}
	})
}

func TestACanceledDurableScatterStaysOpen(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		ctx, cancel := context.WithCancel(t.Context())
		in := make(chan int)
		q := must(bridge.Scatter(ctx, ex, in, bridge.Name("numbers"), bridge.DurableSource("a"), bridge.Seal()))(t)
		results := must(bridge.Gather(t.Context(), q))(t)
		in <- 1
		if r := <-results; r.Value != 1 {
			t.Fatalf("got %v", r)
		}
		cancel()
		if r := <-results; !errors.Is(r.Err, executor.ErrSourceOffline) {
			t.Fatalf("got %v", r)
		}
		successor := must(bridge.ScatterSeq(t.Context(), ex, func(yield func(int) bool) { yield(2) },
			bridge.Name("numbers"), bridge.DurableSource("a")))(t)
		if r := <-results; successor.Stored() != 1 || r.Value != 2 {
			t.Errorf("its successor began at %d, with %v", successor.Stored(), r)
		}
		if r, ok := <-results; ok {
			t.Errorf("behind the end %v", r)
		}
		if err := ex.Delete(t.Context(), "numbers"); err != nil {
			t.Error(err)
		}
	})
}

func TestADurableSourceNeedsANamedQueue(t *testing.T) {
	ex := connect(t, "")
	for _, opts := range [][]bridge.ScatterOption{
		{bridge.DurableSource("a")}, {bridge.Name("q"), bridge.DurableSource("a~b")},
		{bridge.Name("q"), bridge.DurableSource("")},
	} {
		if _, err := bridge.Scatter(t.Context(), ex, make(chan int), opts...); err == nil {
			t.Errorf("%d options are not refused", len(opts))
		}
	}
}
