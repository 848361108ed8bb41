package workers_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A worker with a backlog holds some expensive items for its slots. If the slots are stuck, another
// worker gets the waiting ones.
func TestAnotherWorkerGetsTheStockOfStuckSlots(t *testing.T) {
	const n, slots, inBatch = 2000, 4, 8
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	begun, goOn := make(chan struct{}, n), make(chan struct{})
	slow := workers.Define("slow", func(ctx context.Context, x int) (int, error) {
		if x < 200 {
			<-time.After(5 * time.Millisecond)
			return x, nil
		}
		begun <- struct{}{}
		<-goOn
		return x, nil
	})
	fast := workers.Define("slow", func(_ context.Context, x int) (int, error) { return x, nil })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	run := func(f workers.Func[int, int]) {
		w := must(workers.New(url, workers.Concurrency(slots), workers.Functions(f)))(t)
		go func() { ended <- w.Run(ctx) }()
		<-w.Ready()
	}
	ex := must(executor.New(t.Context(), url))(t)
	q := must(bridge.ScatterSeq(t.Context(), ex, ints(n)))(t)
	run(slow)
	out := must(bridge.Gather(t.Context(), must(executor.Map(t.Context(), slow, q))(t), bridge.Unordered()))(t)
	results := 0
	for stuck := 0; stuck < slots; {
		select {
		case <-begun:
			stuck++
		case r := <-out:
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			results++
		}
	}
	run(fast)
	for ; results < n-slots*inBatch; results++ {
		if r := <-out; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	close(goOn)
	for r := range out {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		results++
	}
	if results != n {
		t.Errorf("%d results of %d", results, n)
	}
	stop()
	if err := errors.Join(<-ended, <-ended, ex.Close()); err != nil {
		t.Error(err)
	}
}
