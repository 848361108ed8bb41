package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

// The context of a call ends while Redis has executed one of its requests and the reply is lost.
// The call fails. The queues that it made are deleted, and the rights that it took are released.
func TestCallsThatLostAReplyLeaveNothing(t *testing.T) {
	sum := workers.Define2("sum", func(_ context.Context, x, y int) (int, error) { return x + y, nil })
	calls := map[string]func(ctx context.Context, ex *executor.Executor, q, other *executor.Queue[int]) error{
		"scatter": func(ctx context.Context, ex *executor.Executor, _, _ *executor.Queue[int]) error {
			_, err := bridge.Scatter(ctx, ex, make(chan int))
			return err
		},
		"map": func(ctx context.Context, _ *executor.Executor, q, _ *executor.Queue[int]) error {
			_, err := executor.Map(ctx, inc, q, executor.MaxSize(5))
			return err
		},
		"multiplex": func(ctx context.Context, _ *executor.Executor, q, _ *executor.Queue[int]) error {
			_, err := executor.Multiplex(ctx, 2, q)
			return err
		},
		"merge": func(ctx context.Context, _ *executor.Executor, q, other *executor.Queue[int]) error {
			_, err := executor.Merge(ctx, q, other)
			return err
		},
		"map2": func(ctx context.Context, _ *executor.Executor, q, other *executor.Queue[int]) error {
			_, err := executor.Map2(ctx, sum, q, other)
			return err
		},
		"feedback": makeCycle,
		"gather": func(ctx context.Context, _ *executor.Executor, q, _ *executor.Queue[int]) error {
			_, err := bridge.Gather(ctx, q)
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			onNetworks(t, func(t *testing.T, n *network, ex *executor.Executor) {
				q := must(bridge.Scatter(t.Context(), ex, make(chan int)))(t)
				other := must(bridge.Scatter(t.Context(), ex, make(chan int)))(t)
				failed, unharmed := 0, 0
				for nth := 0; unharmed < 3; { // what other goroutines request counts too
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					n.lose(script(nth), cancel)
					if err := call(ctx, ex, q, other); err != nil {
						failed++
						nth++
					} else {
						if ctx.Err() == nil { // it has fewer requests
							unharmed++
						}
						deleteOthers(t, ex, q, other)
					}
					waitFor(t, func() bool { return slices.Equal(owned(t, ex), idle(q, other)) })
				}
				if failed < map[string]int{"scatter": 1, "map": 2, "gather": 1}[name] {
					t.Errorf("%d requests were lost", failed)
				}
			})
		})
	}
}

// makeCycle makes a cycle over q.
func makeCycle(ctx context.Context, _ *executor.Executor, q, _ *executor.Queue[int]) error {
	_, err := flow.Feedback(ctx, q, func(in *executor.Queue[int]) (*executor.Queue[int], error) { return executor.Map(ctx, inc, in) },
		func(context.Context, int) ([]int, error) { return nil, nil })
	return err
}

func deleteOthers(t *testing.T, ex *executor.Executor, keep ...*executor.Queue[int]) {
	t.Helper()
	for _, q := range must(ex.Queues(t.Context()))(t) {
		if !slices.ContainsFunc(keep, func(k *executor.Queue[int]) bool { return k.Name() == q.Name }) {
			deleteAll(t, ex, q.Name)
		}
	}
}

// owned are the queues of an Executor and their consumers, sorted.
func owned(t *testing.T, ex *executor.Executor) (list []string) {
	t.Helper()
	for _, q := range must(ex.Queues(t.Context()))(t) {
		list = append(list, q.Name+" "+q.Consumer)
	}
	return list
}

// idle are queues without consumers, as owned lists them.
func idle(queues ...*executor.Queue[int]) (list []string) {
	for _, q := range queues {
		list = append(list, q.Name()+" ")
	}
	slices.Sort(list)
	return list
}

// A gather and a scatter end while Redis is away. Once Redis is back, their queue is free and their
// stream has ended, while the process lives on.
func TestTheEndsOfAnOutageAreMadeUpFor(t *testing.T) {
	t.Parallel()
	onNetworks(t, func(t *testing.T, n *network, ex *executor.Executor) {
		in := make(chan int)
		scattering, cut := context.WithCancel(t.Context())
		q := must(bridge.Scatter(scattering, ex, in))(t)
		gathering, stop := context.WithCancel(t.Context())
		results := must(bridge.Gather(gathering, q, bridge.Buffer(0)))(t)
		for i := range 5 {
			in <- i
			if r := <-results; r.Err != nil || r.Value != i {
				t.Fatalf("%v in the place of %d", r, i)
			}
		}
		n.interrupt()
		stop()
		for range results { // until the gather has given up to reach Redis
		}
		cut()
		<-q.Done()
		n.mend()
		waitFor(t, func() bool {
			again, err := bridge.Gather(t.Context(), q)
			if errors.Is(err, executor.ErrConsumerExists) {
				return false
			}
			if err != nil {
				t.Fatal(err)
			}
			r := <-again
			if r.Err == nil && r.Value == 4 { // Redis went away before it heard of the delivery
				r = <-again
			}
			if !errors.Is(r.Err, executor.ErrTruncated) {
				t.Errorf("the next gather gets %v", r)
			}
			return true
		})
	})
}

// A scatter whose context ends while the reply of one of its requests is lost returns an
// error. It neither holds the stream of its named queue open nor cuts it.
func TestAScatterThatLostAReplyLeavesTheStreamWhole(t *testing.T) {
	onNetworks(t, func(t *testing.T, n *network, ex *executor.Executor) {
		q := scatter(t, ex, []int{1, 2, 3}, bridge.Name("jobs"))
		<-q.Done()
		failed := 0
		for nth := 0; ; nth++ {
			ctx, cancel := context.WithCancel(t.Context())
			call := script(nth)
			n.lose(func(request []byte) bool { // but none that gives up the source of an earlier call
				return bytes.Contains(request, []byte("jobs")) && !bytes.Contains(request, []byte(context.Canceled.Error())) && call(request)
			}, cancel)
			in := make(chan int)
			again, err := bridge.Scatter(ctx, ex, in, bridge.Name("jobs"))
			n.lose(nil, nil)
			if err == nil { // it has fewer requests
				close(in)
				<-again.Done()
				cancel()
				break
			}
			cancel()
			failed++
		}
		if failed == 0 {
			t.Error("no request was lost")
		}
		if err := q.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(t, values(t, q), 1, 2, 3)
		deleteAll(t, ex, "jobs")
	})
}

// The source of a durable scatter is away if the reply to its process was lost: its gather
// is told, and a successor goes on.
func TestADurableScatterThatLostAReplyIsAway(t *testing.T) {
	onNetworks(t, func(t *testing.T, n *network, ex *executor.Executor) {
		durable := []bridge.ScatterOption{bridge.Name("jobs"), bridge.DurableSource("a"), bridge.Seal()}
		want(t, values(t, scatter(t, ex, []int{1})), 1) // the server knows the scripts from here on
		ctx, cancel := context.WithCancel(t.Context())
		n.lose(func(request []byte) bool {
			return bytes.Contains(request, []byte("eval")) && bytes.Contains(request, []byte("s:a")) && bytes.Contains(request, []byte("src:jobs"))
		}, cancel)
		if _, err := bridge.Scatter(ctx, ex, make(chan int), durable...); !errors.Is(err, context.Canceled) {
			t.Fatalf("the scatter returned %v", err)
		}
		q := must(executor.Open[int](t.Context(), ex, "jobs"))(t)
		results := must(bridge.Gather(t.Context(), q))(t)
		if r := <-results; !errors.Is(r.Err, executor.ErrSourceOffline) {
			t.Errorf("the gather is told %v", r)
		}
		scatter(t, ex, []int{1}, durable...)
		if r := <-results; r.Err != nil || r.Value != 1 {
			t.Errorf("the successor sent %v", r)
		}
		if r, ok := <-results; ok {
			t.Errorf("behind the end %v", r)
		}
		deleteAll(t, ex, "jobs")
	})
}
