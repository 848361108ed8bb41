package integration

import (
	"context"
	"errors"
	"go/ast"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// opened holds the objects of the calls: an Executor with a named queue, with queues of its own and
// a future, and an Inspector.
type opened struct {
	ex     *executor.Executor
	view   executor.Inspector
	named  *executor.Queue[int]
	q, p   *executor.Queue[int]
	future *executor.Future[int]

	producer *bridge.Producer[int]
	result   bridge.Result[int] // not acknowledged
}

// closedCalls lists the exported calls that need a connection.
var closedCalls = map[string]func(context.Context, *opened) error{
	"bridge.Scatter": func(ctx context.Context, o *opened) error { return failed(bridge.Scatter(ctx, o.ex, make(chan int))) },
	"bridge.ScatterSeq": func(ctx context.Context, o *opened) error {
		return failed(bridge.ScatterSeq(ctx, o.ex, slices.Values([]int{1}), bridge.Name("events")))
	},
	"bridge.ScatterSlices": func(ctx context.Context, o *opened) error {
		return failed(bridge.ScatterSlices(ctx, o.ex, make(chan []int)))
	},
	"bridge.NewProducer":      func(ctx context.Context, o *opened) error { return failed(bridge.NewProducer[int](ctx, o.ex)) },
	"bridge.Producer.Send":    func(ctx context.Context, o *opened) error { return o.producer.Send(ctx, 1) },
	"bridge.Producer.SendAll": func(ctx context.Context, o *opened) error { return o.producer.SendAll(ctx, []int{1, 2}) },
	"bridge.Producer.Flush":   func(ctx context.Context, o *opened) error { return o.producer.Flush(ctx) },
	"bridge.Gather":           func(ctx context.Context, o *opened) error { return failed(bridge.Gather(ctx, o.q)) },
	"bridge.GatherSlices":     func(ctx context.Context, o *opened) error { return failed(bridge.GatherSlices(ctx, o.q)) },
	"bridge.All":              func(ctx context.Context, o *opened) error { return last(bridge.All(ctx, o.q)) },
	"bridge.Result.AckWait":   func(ctx context.Context, o *opened) error { return o.result.AckWait(ctx) },
	"executor.Open": func(ctx context.Context, o *opened) error {
		return failed(executor.Open[int](ctx, o.ex, "events"))
	},
	"executor.Map": func(ctx context.Context, o *opened) error { return failed(executor.Map(ctx, identity, o.q)) },
	"executor.FlatMap": func(ctx context.Context, o *opened) error {
		return failed(flow.FlatMap(ctx, workers.RemoteFlatMap[int, int]("below"), o.q)) // which calls it
	},
	"executor.Filter": func(ctx context.Context, o *opened) error {
		return failed(flow.Filter(ctx, workers.RemoteFilter[int]("even"), o.q)) // which calls it
	},
	"executor.Each": func(ctx context.Context, o *opened) error {
		return flow.Each(ctx, workers.RemoteSink[int]("store"), o.q) // which calls it
	},
	"executor.Feedback": func(ctx context.Context, o *opened) error {
		return failed(flow.Feedback(ctx, o.q, func(q *executor.Queue[int]) (*executor.Queue[int], error) { return q, nil },
			func(context.Context, int) ([]int, error) { return nil, nil })) // which calls it
	},
	"executor.Map2":      func(ctx context.Context, o *opened) error { return failed(executor.Map2(ctx, sum, o.q, o.p)) },
	"executor.Multiplex": func(ctx context.Context, o *opened) error { return failed(executor.Multiplex(ctx, 2, o.q)) },
	"executor.Merge":     func(ctx context.Context, o *opened) error { return failed(executor.Merge(ctx, o.q, o.p)) },
	"executor.Submit":    func(ctx context.Context, o *opened) error { return failed(executor.Submit(ctx, o.ex, identity, 1)) },
	"executor.MapSlice": func(ctx context.Context, o *opened) error {
		return failed(executor.MapSlice(ctx, o.ex, identity, []int{1, 2}))
	},
	"executor.GatherSlice": func(ctx context.Context, o *opened) error {
		return failed(executor.GatherSlice(ctx, []*executor.Future[int]{o.future}))
	},
	"executor.AsCompleted": func(ctx context.Context, o *opened) (err error) {
		for f := range executor.AsCompleted(ctx, []*executor.Future[int]{o.future}) {
			err = failed(f.Result(ctx))
		}
		return err
	},
	"executor.Futures":              func(ctx context.Context, o *opened) error { return last(executor.Futures(ctx, o.q)) },
	"executor.Future.Result":        func(ctx context.Context, o *opened) error { return failed(o.future.Result(ctx)) },
	"executor.Future.Cancel":        func(ctx context.Context, o *opened) error { return o.future.Cancel(ctx) },
	"executor.Queue.Len":            func(ctx context.Context, o *opened) error { return failed(o.q.Len(ctx)) },
	"executor.Queue.Dropped":        func(ctx context.Context, o *opened) error { return failed(o.q.Dropped(ctx)) },
	"executor.Queue.Seal":           func(ctx context.Context, o *opened) error { return o.named.Seal(ctx) },
	"executor.Queue.Delete":         func(ctx context.Context, o *opened) error { return o.named.Delete(ctx) },
	"executor.Executor.Flush":       func(ctx context.Context, o *opened) error { return o.ex.Flush(ctx) },
	"executor.Executor.RemoveStage": func(ctx context.Context, o *opened) error { return o.ex.RemoveStage(ctx, "events", "identity") },
	"executor.Executor.Delete":      func(ctx context.Context, o *opened) error { return o.ex.Delete(ctx, "events") },
	"executor.Executor.Functions":   func(ctx context.Context, o *opened) error { return failed(o.ex.Functions(ctx)) },
	"executor.Executor.Workers":     func(ctx context.Context, o *opened) error { return failed(o.ex.Workers(ctx)) },
	"executor.Executor.Queues":      func(ctx context.Context, o *opened) error { return failed(o.ex.Queues(ctx)) },
	"executor.Executor.Stages":      func(ctx context.Context, o *opened) error { return failed(o.ex.Stages(ctx)) },
	"executor.Executor.DeadLetters": func(ctx context.Context, o *opened) error {
		return last(o.ex.DeadLetters(ctx))
	},
	"executor.Executor.DeadLetterItems":  func(ctx context.Context, o *opened) error { return failed(o.ex.DeadLetterItems(ctx, "1-1")) },
	"executor.Executor.RetryDeadLetter":  func(ctx context.Context, o *opened) error { return o.ex.RetryDeadLetter(ctx, "1-1", "") },
	"executor.Executor.DeleteDeadLetter": func(ctx context.Context, o *opened) error { return o.ex.DeleteDeadLetter(ctx, "1-1") },
	"executor.Inspector.Functions":       func(ctx context.Context, o *opened) error { return failed(o.view.Functions(ctx)) },
	"executor.Inspector.Workers":         func(ctx context.Context, o *opened) error { return failed(o.view.Workers(ctx)) },
	"executor.Inspector.Queues":          func(ctx context.Context, o *opened) error { return failed(o.view.Queues(ctx)) },
	"executor.Inspector.Stages":          func(ctx context.Context, o *opened) error { return failed(o.view.Stages(ctx)) },
	"executor.Inspector.DeadLetters":     func(ctx context.Context, o *opened) error { return last(o.view.DeadLetters(ctx)) },
	"executor.Inspector.DeadLetterItems": func(ctx context.Context, o *opened) error { return failed(o.view.DeadLetterItems(ctx, "1-1")) },
	"executor.Executor.Sources":          func(ctx context.Context, o *opened) error { return failed(o.ex.Sources(ctx)) },
	"executor.Inspector.Sources":         func(ctx context.Context, o *opened) error { return failed(o.view.Sources(ctx)) },
	"executor.Executor.Errors":           func(ctx context.Context, o *opened) error { return failed(o.ex.Errors(ctx)) },
	"executor.Inspector.Errors":          func(ctx context.Context, o *opened) error { return failed(o.view.Errors(ctx)) },
	"executor.Executor.Server":           func(ctx context.Context, o *opened) error { return failed(o.ex.Server(ctx)) },
	"executor.Inspector.Server":          func(ctx context.Context, o *opened) error { return failed(o.view.Server(ctx)) },
	"executor.Executor.Snapshot":         func(ctx context.Context, o *opened) error { return failed(o.ex.Snapshot(ctx)) },
	"executor.Inspector.Snapshot":        func(ctx context.Context, o *opened) error { return failed(o.view.Snapshot(ctx)) },
	"executor.Executor.History":          func(ctx context.Context, o *opened) error { return failed(o.ex.History(ctx, "s")) },
	"executor.Inspector.History":         func(ctx context.Context, o *opened) error { return failed(o.view.History(ctx, "s")) },
	"executor.Executor.EndedFlows":       func(ctx context.Context, o *opened) error { return failed(o.ex.EndedFlows(ctx)) },
	"executor.Inspector.EndedFlows":      func(ctx context.Context, o *opened) error { return failed(o.view.EndedFlows(ctx)) },
	"executor.Executor.MarkWatched":      func(ctx context.Context, o *opened) error { return o.ex.MarkWatched(ctx) },
	"executor.Inspector.MarkWatched":     func(ctx context.Context, o *opened) error { return o.view.MarkWatched(ctx) },
	"executor.Executor.Where":            func(ctx context.Context, o *opened) error { return failed(o.ex.Where(ctx, "s", 0)) },
	"executor.Inspector.Where":           func(ctx context.Context, o *opened) error { return failed(o.view.Where(ctx, "s", 0)) },
	"executor.Executor.Peek":             func(ctx context.Context, o *opened) error { return failed(o.ex.Peek(ctx, "q", "", 1)) },
	"executor.Inspector.Peek":            func(ctx context.Context, o *opened) error { return failed(o.view.Peek(ctx, "q", "", 1)) },
	"executor.Executor.Register":         func(_ context.Context, o *opened) error { return o.ex.Register(sum) },
}

// endless returns when its context ends.
var endless = workers.Define("endless", func(ctx context.Context, _ int) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
})

// open makes the objects of the calls. The future has no result before Close.
func open(t *testing.T, url string) *opened {
	t.Helper()
	o := new(opened)
	var err error
	step := func(f func()) {
		if err == nil {
			f()
		}
	}
	step(func() { o.ex, err = executor.New(t.Context(), url) })
	step(func() { err = o.ex.Register(identity, endless) })
	step(func() { o.named, err = bridge.Scatter(t.Context(), o.ex, make(chan int), bridge.Name("events")) })
	step(func() { o.q, err = bridge.Scatter(t.Context(), o.ex, make(chan int)) })
	step(func() { o.p, err = bridge.Scatter(t.Context(), o.ex, make(chan int)) })
	step(func() { o.future, err = executor.Submit(t.Context(), o.ex, endless, 1) })
	step(func() { err = o.take(t.Context()) })
	step(func() { o.producer, err = bridge.NewProducer[int](t.Context(), o.ex) })
	if url != "" {
		step(func() { o.view, err = executor.NewInspector(t.Context(), url) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// take takes a result and does not acknowledge it.
func (o *opened) take(ctx context.Context) error {
	q, err := bridge.ScatterSeq(ctx, o.ex, slices.Values([]int{1}))
	if err != nil {
		return err
	}
	results, err := bridge.Gather(ctx, q, bridge.ManualAck())
	if err != nil {
		return err
	}
	o.result = <-results
	return o.result.Err
}

func (o *opened) close(t *testing.T) {
	t.Helper()
	if err := o.ex.Close(); err != nil {
		t.Error(err)
	}
	if o.view == nil {
		return
	}
	if err := o.view.Close(); err != nil {
		t.Error(err)
	}
}

func TestCallsAfterCloseAreErrClosed(t *testing.T) {
	server := testkit.StartRedis(t)
	for name, url := range map[string]string{"embedded": "", "redis": server.URL(), "partitions": server.URL() + "/?ns=parts&partitions=8"} {
		t.Run(name, func(t *testing.T) {
			o := open(t, url)
			o.close(t)
			o.close(t) // a second Close
			for name, call := range closedCalls {
				if o.view == nil && strings.Contains(name, "Inspector") {
					continue
				}
				if err := call(t.Context(), o); !errors.Is(err, executor.ErrClosed) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// A call to a dead server ends with Close, and Close ends too.
func TestRunningCallsEndWithClose(t *testing.T) {
	server := testkit.StartRedis(t)
	o := open(t, server.URL())
	server.Kill()
	var calls sync.WaitGroup
	for name, call := range closedCalls {
		calls.Go(func() {
			err := call(t.Context(), o)
			nothing := err == nil && name == "bridge.Producer.Flush" // it had no items to wait for
			if !errors.Is(err, executor.ErrClosed) && !nothing {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	testkit.Eventually(t, func() bool { return waiting() >= 25 }, "most calls wait for the server")
	_ = o.view.Close()
	_ = o.ex.Close() // it cannot delete its own queues
	calls.Wait()
}

// waiting returns the number of calls of TestRunningCallsEndWithClose that block inside package
// broker. The other calls block on one of them or on a result.
func waiting() (n int) {
	stacks := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "/internal/broker.") && strings.Contains(stack, "TestRunningCallsEndWithClose.func") {
			n++
		}
	}
	return n
}

func TestClosedCallsAreComplete(t *testing.T) {
	t.Parallel()
	local := []string{"bridge.Multiplex", "bridge.Merge", "bridge.Push", "executor.New", "executor.NewInspector"}
	for name, fun := range calls(t) {
		if strings.HasPrefix(name, "workers.") || internal(fun) || slices.Contains(local, name) {
			continue
		}
		params := fun.Decl.Type.Params.List
		if len(params) == 0 {
			continue
		}
		sel, ok := params[0].Type.(*ast.SelectorExpr)
		if ok && selects(sel, "context", "Context") && closedCalls[name] == nil {
			t.Errorf("no row for %s", name)
		}
	}
}
