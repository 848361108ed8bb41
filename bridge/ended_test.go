package bridge_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

type (
	number  = workers.Func[int, int]
	numbers = *executor.Queue[int]
)

// endings are ways in which the stage of a function, from queue "numbers" to queue "results",
// ends. Each returns the queue that the results of all items come to, nil if none do.
var endings = map[string]func(t *testing.T, ex *executor.Executor, f number, q numbers) numbers{
	"in deleted": func(t *testing.T, ex *executor.Executor, _ number, _ numbers) numbers {
		t.Helper()
		deleteAll(t, ex, "numbers")
		return nil
	},
	"out deleted": func(t *testing.T, ex *executor.Executor, _ number, q numbers) numbers {
		t.Helper()
		deleteAll(t, ex, "results")
		return stage(t, inc, q, executor.Name("results"))
	},
	"updated": func(t *testing.T, _ *executor.Executor, f number, q numbers) numbers {
		t.Helper()
		return stage(t, f, q, executor.Name("results"), executor.Timeout(time.Hour))
	},
	"replaced": func(t *testing.T, _ *executor.Executor, _ number, q numbers) numbers {
		t.Helper()
		return stage(t, inc, q, executor.Name("results"), executor.ReplaceStage())
	},
}

// A blocker adds one to each number, but blocks from the first call on until its context has
// ended, and then returns a wrong value and no error.
type blocker struct {
	number
	blocks  atomic.Bool
	running chan struct{}
	ended   chan error
}

func (b *blocker) one(ctx context.Context, x int) (int, error) {
	if !b.blocks.Load() {
		return x + 1, nil
	}
	b.running <- struct{}{}
	<-ctx.Done()
	b.ended <- context.Cause(ctx)
	return -1, nil
}

func newBlocker() *blocker {
	b := &blocker{running: make(chan struct{}, 1000), ended: make(chan error, 1000)}
	b.blocks.Store(true)
	return b
}

func itemBlocker() *blocker {
	b := newBlocker()
	b.number = workers.Define("blocks", b.one)
	return b
}

func batchBlocker() *blocker {
	b := newBlocker()
	b.number = workers.DefineBatch("blocks", func(ctx context.Context, xs []int) ([]int, error) {
		made := make([]int, len(xs))
		for i, x := range xs {
			made[i], _ = b.one(ctx, x)
		}
		return made, nil
	})
	return b
}

// The context of a function ends with the stage that it runs for. Its result is dropped, and its
// items are run again if their queue still exists.
func TestCallsEndWithTheirStage(t *testing.T) {
	for ending, end := range endings {
		for kind, make := range map[string]func() *blocker{"items": itemBlocker, "batches": batchBlocker} {
			t.Run(ending+"/"+kind, func(t *testing.T) {
				t.Parallel()
				onBoth(t, func(t *testing.T, ex *executor.Executor) {
					b := make()
					register(t, ex, b.number)
					q := scatter(t, ex, upTo(100), bridge.Name("numbers"), bridge.Seal())
					stage(t, b.number, q, executor.Name("results"))
					for range 4 { // all of the slots
						<-b.running
					}
					b.blocks.Store(false)
					out := end(t, ex, b.number, q)
					if why := <-b.ended; why == nil || !strings.Contains(why.Error(), "the stage was removed or replaced") {
						t.Errorf("the cause is %v", why)
					}
					if out == nil {
						deleteAll(t, ex, "results")
						return
					}
					want(t, values(t, out), upTo(101)[1:]...)
					deleteAll(t, ex, "numbers", "results")
				}, inc)
			})
		}
	}
}

// A worker whose slots are all busy hears within two seconds that a stage has ended.
func TestABusyWorkerCancelsWithinTwoSeconds(t *testing.T) {
	for ending, end := range endings {
		t.Run(ending, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := itemBlocker()
				ex := must(executor.New(t.Context(), ""))(t)
				register(t, ex, b.number, inc)
				q := scatter(t, ex, upTo(100), bridge.Name("numbers"), bridge.Seal())
				stage(t, b.number, q, executor.Name("results"))
				for range 4 {
					<-b.running
				}
				b.blocks.Store(false)
				end(t, ex, b.number, q)
				began := time.Now()
				for range 4 {
					<-b.ended
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("it took %v", took)
				}
				if err := ex.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A function is canceled too if its stage follows another stage in the same slot. The results of
// the earlier stage are kept.
func TestASecondStageOfASlotEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		b, double := itemBlocker(), workers.Define("twice", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
		register(t, ex, b.number, double)
		feed := make(chan int)
		q := stage(t, double, must(bridge.Scatter(t.Context(), ex, feed, bridge.Name("first"), bridge.Seal()))(t), executor.Name("numbers"))
		stage(t, b.number, q, executor.Name("results"))
		feed <- 21
		close(feed)
		<-b.running
		out := stage(t, inc, q, executor.Name("results"), executor.ReplaceStage())
		want(t, values(t, out), 43)
		deleteAll(t, ex, "first", "numbers", "results")
	}, inc)
}

// outlived are ways in which the context of a function ends that runs on 7, and does not
// return. ended is where the Executor is closed, nil if it goes on.
var outlived = map[string]func(t *testing.T, ex *executor.Executor, f number) (ended <-chan error){
	"stage": func(t *testing.T, ex *executor.Executor, f number) <-chan error {
		t.Helper()
		stage(t, f, scatter(t, ex, []int{7}, bridge.Name("numbers")))
		<-time.After(time.Second)
		deleteAll(t, ex, "numbers")
		return nil
	},
	"timeout": func(t *testing.T, ex *executor.Executor, f number) <-chan error {
		t.Helper()
		stage(t, f, scatter(t, ex, []int{7}), executor.Timeout(time.Second))
		return nil
	},
	"cancel": func(t *testing.T, ex *executor.Executor, f number) <-chan error {
		t.Helper()
		future := must(executor.Submit(t.Context(), ex, f, 7))(t)
		<-time.After(time.Second)
		if err := future.Cancel(t.Context()); err != nil {
			t.Error(err)
		}
		return nil
	},
	"drain": func(t *testing.T, ex *executor.Executor, f number) <-chan error {
		t.Helper()
		stage(t, f, scatter(t, ex, []int{7}))
		<-time.After(time.Second)
		ended := make(chan error, 1)
		go func() { ended <- ex.Close() }()
		return ended
	},
}

// reports returns the log lines about a function, once all goroutines wait.
func (l told) reports(function string) (texts []string) {
	synctest.Wait()
	for len(l) > 0 {
		if text := <-l; strings.Contains(text, "function="+function) && !strings.Contains(text, "msg=work ") {
			texts = append(texts, text)
		}
	}
	return texts
}

// A function that does not return after its context has ended is reported after some
// seconds, again after twice as long, and when it returns.
func TestAFunctionThatHangsIsReported(t *testing.T) {
	for what, outlive := range outlived {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, goOn := make(told, 1000), make(chan struct{})
				deaf := workers.Define("deaf", func(_ context.Context, x int) (int, error) {
					<-goOn
					return x, nil
				})
				ex := must(executor.New(t.Context(), "", executor.Logger(slog.New(slog.NewTextHandler(log, nil)))))(t)
				register(t, ex, deaf)
				ended := outlive(t, ex, deaf)
				if got := log.reports("deaf"); len(got) > 0 {
					t.Errorf("reported at once: %q", got)
				}
				for i, pause := range []time.Duration{9 * time.Second, 6 * time.Second, 10 * time.Second, 20 * time.Second} {
					<-time.After(pause)
					again := i > 0 && what != "timeout" // after a timeout the slot has gone on without the function
					if got := log.reports("deaf"); i == 0 || again {
						if len(got) != 1 || !namesCall(got[0]) {
							t.Errorf("after pause %d: %q", i, got)
						}
					} else if len(got) > 0 {
						t.Errorf("after pause %d: %q", i, got)
					}
				}
				close(goOn)
				if got := log.reports("deaf"); len(got) != 1 || !strings.Contains(got[0], "has returned") {
					t.Errorf("when it has returned: %q", got)
				}
				<-time.After(time.Minute)
				if got := log.reports("deaf"); len(got) > 0 {
					t.Errorf("afterwards: %q", got)
				}
				if err := ex.Close(); err != nil {
					t.Error(err)
				}
				if ended != nil {
					must(0, <-ended)(t)
				}
			})
		})
	}
}

// namesCall tells whether a report has all that is known of a call.
func namesCall(report string) bool {
	for _, part := range []string{"level=WARN", "does not return", "stage=", "queue=", "source=", "offset=0", "ended=2000-01-01T00:00:0", "why="} {
		if !strings.Contains(report, part) {
			return false
		}
	}
	return true
}
