package executor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/workers"
)

// A flow that waits on the embedded broker costs about two commands a minute, whether there are
// ten or a hundred.
func TestAFlowThatWaitsCostsTheEmbeddedBrokerLittle(t *testing.T) {
	t.Parallel()
	const long = 20 * time.Minute
	commands := map[int]int{}
	for _, n := range []int{10, 100} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			ex := waitingFlows(t, ctx, n)
			wait(t, long)
			before := ex.server.Commands()
			wait(t, long)
			commands[n] = ex.server.Commands() - before
			cancel()
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	each := float64(commands[100]-commands[10]) / 90
	if most := 2 * long.Minutes(); each > most || each < most/2 {
		t.Errorf("in %v, 10 flows send %d commands and 100 send %d: %.1f each, not %.0f", long, commands[10], commands[100], each, most)
	}
}

func wait(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}

// waitingFlows makes flows without items: each has a source, a stage and a gather.
func waitingFlows(t *testing.T, ctx context.Context, n int) *Executor {
	t.Helper()
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	ex, err := New(ctx, "")
	if err == nil {
		err = ex.Register(inc)
	}
	if err != nil {
		t.Fatal(err)
	}
	typed, err := codec.For[int](codec.JSON)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		q, feed, life, err := newFeed(ctx, ex.home, typed, producer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-life.Done()
			feed.Release(life, life.Err())
		}()
		if q, err = Map(ctx, inc, q); err != nil {
			t.Fatal(err)
		}
		go func() {
			for range Futures(ctx, q) {
			}
		}()
	}
	return ex
}
