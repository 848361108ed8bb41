package flow_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

// A follow returns the items that a result leads to.
type follow = func(context.Context, int) ([]int, error)

// tree leads from each number below n to its children, width of them.
func tree(n, width int) follow {
	return func(_ context.Context, x int) (children []int, _ error) {
		for y := width*x + 1; y <= width*x+width && y < n; y++ {
			children = append(children, y)
		}
		return children, nil
	}
}

// cycle makes a cycle over some seeds.
func cycle(ctx context.Context, t *testing.T, ex *executor.Executor, seeds []int, body pipe, next follow) *executor.Queue[int] {
	t.Helper()
	q, err := bridge.ScatterSeq(ctx, ex, slices.Values(seeds))
	if err != nil {
		t.Fatal(err)
	}
	out, err := flow.Feedback(ctx, q, func(in *executor.Queue[int]) (*executor.Queue[int], error) { return body(ctx, in) }, next)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// drained returns the results of a queue, sorted, and its errors.
func drained(ctx context.Context, q *executor.Queue[int]) (got []int, failed []error) {
	for x, err := range bridge.All(ctx, q) {
		if err != nil {
			failed = append(failed, err)
		} else {
			got = append(got, x)
		}
	}
	slices.Sort(got)
	return got, failed
}

func asIs(_ context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) { return q, nil }

// step leads from each number below n that is i modulo m to the next ones.
func step(n, m, i int, by ...int) follow {
	return func(_ context.Context, x int) (next []int, _ error) {
		for _, d := range by {
			if x%m == i && x+d < n {
				next = append(next, x+d)
			}
		}
		return next, nil
	}
}

// failing fails at 3 and panics at 4.
func failing(_ context.Context, x int) ([]int, error) {
	switch x {
	case 3:
		return []int{100}, errors.New("three")
	case 4:
		panic("four")
	}
	return []int{x + 1}, nil
}

func TestFeedbackEndsWhenNothingIsUnderWay(t *testing.T) {
	evens := slices.DeleteFunc(upTo(1000), func(x int) bool { return x%2 == 1 })
	apart := executor.NoFuse()
	for name, c := range map[string]struct {
		seeds  []int
		body   pipe
		next   follow
		want   []int
		failed int
	}{
		"a tree":            {upTo(1), mapBy(same), tree(1000, 2), upTo(1000), 0},
		"a chain":           {upTo(1), mapBy(same), tree(5000, 1), upTo(5000), 0},
		"a wide tree":       {upTo(1), mapBy(same), tree(20_000, 5000), upTo(20_000), 0},
		"no seed":           {nil, mapBy(same), tree(10, 2), nil, 0},
		"nothing fed back":  {upTo(3), mapBy(same), step(0, 1, 0), upTo(3), 0},
		"the in-queue":      {upTo(1), asIs, tree(100, 3), upTo(100), 0},
		"several stages":    {upTo(1), through(mapBy(same), mapBy(same, apart), filterBy(even, apart)), step(1000, 2, 0, 1, 2), evens, 0},
		"no result":         {upTo(10), filterBy(none), tree(10, 2), nil, 0},
		"results in groups": {upTo(1), through(flatMapBy(hundred), mapBy(same, apart)), step(1000, 100, 99, 1), upTo(1000), 0},
		"bounds of 1":       {upTo(1), through(mapBy(same, executor.MaxSize(1), apart), mapBy(same, executor.MaxSize(1))), tree(500, 10), upTo(500), 0},
		"a failed item":     {upTo(1), filterBy(not3, executor.Retries(1)), tree(10, 10), []int{0, 2, 4, 6, 7, 8, 9}, 1},
		"a failed next":     {upTo(1), mapBy(same), failing, upTo(3), 1},
		"a panic of next":   {[]int{4}, mapBy(same), failing, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				f.StartWorker(all, workers.Functions(hundred))
				f.StartWorker(all, workers.Functions(hundred)).KillAfter(300)
				ex, _ := f.StartExecutor()
				got, failed := drained(t.Context(), cycle(t.Context(), t, ex, c.seeds, c.body, c.next))
				if !slices.Equal(got, c.want) || len(failed) != c.failed {
					t.Errorf("got %v and %v, want %v and %d errors", got, failed, c.want, c.failed)
				}
				for _, err := range failed {
					if !bridge.IsItemError(err) {
						t.Error(err)
					}
				}
			})
		})
	}
}

// A fragile value cannot be encoded if it is above 1.
type fragile struct{ n int }

func (f fragile) MarshalText() ([]byte, error) {
	if f.n > 1 {
		return nil, errors.New("it breaks")
	}
	return []byte(strconv.Itoa(f.n)), nil
}

func (f *fragile) UnmarshalText(text []byte) (err error) {
	f.n, err = strconv.Atoi(string(text))
	return err
}

// An item that cannot be encoded on its way back is an error in its place, and counts as done.
func TestFeedbackOfValuesThatCannotBeEncoded(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]fragile{{0}}))
		if err != nil {
			t.Fatal(err)
		}
		out, err := flow.Feedback(t.Context(), q, func(in *executor.Queue[fragile]) (*executor.Queue[fragile], error) { return in, nil },
			func(_ context.Context, v fragile) ([]fragile, error) { return []fragile{{v.n + 1}}, nil })
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for v, err := range bridge.All(t.Context(), out) {
			got = append(got, fmt.Sprint(v.n, err))
		}
		if len(got) != 3 || got[0] != "0 <nil>" || got[1] != "1 <nil>" || !strings.Contains(got[2], "it breaks") {
			t.Errorf("got %q", got)
		}
	})
}

// A gather that reads nothing yet lets the cycle wait; nothing is lost.
func TestFeedbackWaitsForItsGather(t *testing.T) {
	large := workers.Define("large", func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n<<10), nil })
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		f.StartWorker(workers.Functions(large))
		ex, _ := f.StartExecutor()
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{512}))
		if err != nil {
			t.Fatal(err)
		}
		fedBack := 0
		out, err := flow.Feedback(t.Context(), q, func(in *executor.Queue[int]) (*executor.Queue[string], error) {
			return executor.Map(t.Context(), large, in)
		}, func(_ context.Context, s string) ([]int, error) {
			if fedBack++; fedBack > 300 {
				return nil, nil
			}
			return []int{len(s) >> 10}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		if fedBack < 100 || fedBack > 200 { // 64 MiB are 128 results
			t.Errorf("%d results were fed back before a gather began", fedBack)
		}
		n := 0
		for _, err := range bridge.All(t.Context(), out) {
			if err != nil {
				t.Error(err)
			}
			n++
		}
		if n != 301 {
			t.Errorf("%d results", n)
		}
	})
}

// slow takes some time, so that virtual time goes on while a cycle runs.
var slow = workers.Define("slow", func(_ context.Context, x int) (int, error) {
	<-time.After(10 * time.Millisecond)
	return x, nil
})

// A running is a cycle without an end that a test ends.
type running struct {
	ex      *executor.Executor
	in, out *executor.Queue[int]
	cancel  func()
}

// goexitAt leads to the next number, and ends its goroutine at a number.
func goexitAt(n int) follow {
	return func(_ context.Context, x int) ([]int, error) {
		if x == n {
			runtime.Goexit()
		}
		return []int{x + 1}, nil
	}
}

// blockedAt leads to the next number, and waits at a number until its context ends.
func blockedAt(n int) follow {
	return func(ctx context.Context, x int) ([]int, error) {
		if x == n {
			<-ctx.Done()
		}
		return []int{x + 1}, nil
	}
}

// A cycle that ends early leaves no queue, no key and no goroutine, which dqtest checks, and its results
// end with the reason.
func TestFeedbackThatEndsEarly(t *testing.T) {
	nothing := func(running) error { return nil }
	for name, c := range map[string]struct {
		next follow
		end  func(running) error
		want error // nil: the loop is left
	}{
		"the loop is left":        {goexitAt(-1), nothing, nil},
		"the context ends":        {goexitAt(-1), func(r running) error { r.cancel(); return nil }, context.Canceled},
		"the executor closes":     {goexitAt(-1), func(r running) error { go r.ex.Close(); return nil }, executor.ErrClosed},
		"the in-queue is deleted": {goexitAt(-1), func(r running) error { return r.in.Delete(context.Background()) }, executor.ErrTruncated},
		"it is while next runs": {blockedAt(12), func(r running) error {
			<-time.After(time.Second) // next waits
			return r.in.Delete(context.Background())
		}, executor.ErrTruncated},
		"the out-queue is deleted": {goexitAt(-1), func(r running) error { return r.out.Delete(context.Background()) }, executor.ErrQueueNotFound},
		"next calls Goexit":        {goexitAt(20), nothing, executor.ErrTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				f.StartWorker(workers.Functions(slow))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := running{cancel: cancel}
				r.ex, _ = f.StartExecutor()
				r.out = cycle(ctx, t, r.ex, upTo(1), func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
					r.in = q
					return mapBy(slow)(ctx, q)
				}, c.next)
				n, last, ended := 0, error(nil), time.Time{}
				for _, err := range bridge.All(ctx, r.out) {
					if n, last = n+1, err; n != 10 {
						continue
					}
					if c.want == nil {
						break
					}
					if err := c.end(r); err != nil {
						t.Error(err)
					}
					ended = time.Now()
				}
				if took := time.Since(ended); !errors.Is(last, c.want) || n < 10 || c.want != nil && took > time.Second {
					t.Errorf("%d results, and %v later %v", n, took, last)
				}
				<-time.After(time.Minute)
				checkNoQueues(t, f)
			})
		})
	}
}

func checkNoQueues(t *testing.T, f *dqtest.Fleet) {
	t.Helper()
	if queues := f.Queues(); len(queues) > 0 {
		t.Errorf("queues are left: %+v", queues)
	}
}

// A body that makes no cycle is refused: the error says why, the seeds can be used again, and no queue is
// left.
func TestFeedbackRefusesOtherBodies(t *testing.T) {
	errBody := errors.New("no stage today")
	for name, c := range map[string]struct {
		body pipe
		text string
	}{
		"an error": {func(context.Context, *executor.Queue[int]) (*executor.Queue[int], error) { return nil, errBody }, errBody.Error()},
		"no queue": {func(context.Context, *executor.Queue[int]) (*executor.Queue[int], error) { return nil, nil }, "the Queue is nil"},
		"the queue used": {func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
			_, err := mapBy(same)(ctx, q)
			return q, err
		}, "consumer"},
		"a branch": {func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
			branches, err := executor.Multiplex(ctx, 2, q)
			return branches[0], err
		}, "body must return the results of the queue that it gets, and of no other queue"},
		"two branches": {func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
			branches, err := executor.Multiplex(ctx, 2, q)
			if err != nil {
				return nil, err
			}
			return executor.Merge(ctx, branches[0], branches[1])
		}, "body must return"},
		"a cycle": {func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
			return flow.Feedback(ctx, q, func(q *executor.Queue[int]) (*executor.Queue[int], error) { return q, nil }, tree(0, 1))
		}, "body must return"},
	} {
		t.Run(name, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				f.StartWorker(all)
				ex, _ := f.StartExecutor()
				ctx, cancel := context.WithCancel(t.Context())
				seeds, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(3)))
				if err != nil {
					t.Fatal(err)
				}
				_, err = flow.Feedback(ctx, seeds, func(q *executor.Queue[int]) (*executor.Queue[int], error) { return c.body(ctx, q) }, tree(0, 1))
				if err == nil || !strings.HasPrefix(err.Error(), "feedback: ") || !strings.Contains(err.Error(), c.text) {
					t.Errorf("the error is %v", err)
				}
				cancel()
				if got, failed := drained(t.Context(), seeds); !slices.Equal(got, upTo(3)) || failed != nil {
					t.Errorf("the seeds are %v, %v", got, failed)
				}
				<-time.After(time.Hour)
				checkNoQueues(t, f)
			})
		})
	}
}

// A body that panics is undone, and the panic is the caller's.
func TestFeedbackOfABodyThatPanics(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		seeds, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(3)))
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() != "no stage" {
					t.Error("the panic is gone")
				}
			}()
			_, _ = flow.Feedback(t.Context(), seeds, func(*executor.Queue[int]) (*executor.Queue[int], error) { panic("no stage") }, tree(0, 1))
		}()
		if got, failed := drained(t.Context(), seeds); !slices.Equal(got, upTo(3)) || failed != nil {
			t.Errorf("the seeds are %v, %v", got, failed)
		}
		checkNoQueues(t, f)
	})
}

// Seeds that are cut, and a second cycle behind the first one.
func TestFeedbackOfSeeds(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		f.StartWorker(all)
		ex, _ := f.StartExecutor()
		first := cycle(t.Context(), t, ex, upTo(1), mapBy(same), tree(50, 1))
		second, err := flow.Feedback(t.Context(), first, func(q *executor.Queue[int]) (*executor.Queue[int], error) { return mapBy(inc)(t.Context(), q) }, tree(0, 1))
		if err != nil {
			t.Fatal(err)
		}
		if got, failed := drained(t.Context(), second); !slices.Equal(got, upTo(51)[1:]) || failed != nil {
			t.Errorf("a second cycle: %v, %v", got, failed)
		}
		ctx, cancel := context.WithCancel(t.Context())
		seeds, err := bridge.Scatter(ctx, ex, make(chan int))
		if err != nil {
			t.Fatal(err)
		}
		out, err := flow.Feedback(t.Context(), seeds, func(q *executor.Queue[int]) (*executor.Queue[int], error) { return mapBy(inc)(t.Context(), q) }, tree(0, 1))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if got, failed := drained(t.Context(), out); got != nil || len(failed) != 1 || !errors.Is(failed[0], executor.ErrTruncated) {
			t.Errorf("seeds that are cut: %v, %v", got, failed)
		}
	})
}

// A cycle ends with its last item, also if that has no result: it does not wait for a timer.
func TestFeedbackWithoutResultsEndsAtOnce(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		f.StartWorker(all)
		ex, _ := f.StartExecutor()
		begin := time.Now()
		got, failed := drained(t.Context(), cycle(t.Context(), t, ex, upTo(10), filterBy(none), tree(10, 2)))
		if took := time.Since(begin); got != nil || failed != nil || took > time.Second { // in virtual time
			t.Errorf("got %v and %v after %v", got, failed, took)
		}
	})
}
