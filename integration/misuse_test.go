package integration

import (
	"context"
	"errors"
	"go/ast"
	"go/doc"
	"go/parser"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/handle"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/workers"
)

// A misuse calls an exported function or method with nil and zero values, and returns the errors.
// An error may be nil only if the call returns none.
type misuse func(ctx context.Context, ex *executor.Executor, q *executor.Queue[int]) []error

// failed returns the error of a call and drops its other results.
func storeNothing(context.Context, int) error { return nil }

func yieldTwice(_ context.Context, x int, yield func(int)) error {
	yield(x)
	yield(x)
	return nil
}

func failed[T any](_ T, err error) error { return err }

// last returns the error of an iterator that yields only an error.
func last[T any](seq func(yield func(T, error) bool)) (err error) {
	for _, failed := range seq {
		err = failed
	}
	return err
}

var (
	identity = workers.Define("identity", func(_ context.Context, x int) (int, error) { return x, nil })
	twice    = workers.DefineFlatMap("twice", yieldTwice)
	positive = workers.DefineFilter("positive", func(_ context.Context, x int) (bool, error) { return x > 0, nil })
	sum      = workers.Define2("sum", func(_ context.Context, x, y int) (int, error) { return x + y, nil })
	noCtx    context.Context
	noEx     *executor.Executor
	noQ      *executor.Queue[int]
	noFut    *executor.Future[int]
	noWork   *workers.Worker
	noSend   *bridge.Producer[int]
)

var misusesOfBridge = map[string]misuse{
	"bridge.Scatter": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		in := make(chan int)
		return []error{
			failed(bridge.Scatter(ctx, nil, in)), failed(bridge.Scatter(ctx, new(executor.Executor), in)), failed(bridge.Scatter(noCtx, ex, in)),
			failed(bridge.Scatter[int](ctx, ex, nil)), failed(bridge.Scatter(ctx, ex, in, nil)), failed(bridge.Scatter(ctx, nil, in, bridge.Name("n"))),
			failed(bridge.Scatter(noCtx, ex, in, bridge.Name("n"))),
		}
	},
	"bridge.ScatterSeq": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(bridge.ScatterSeq[int](ctx, ex, nil)), failed(bridge.ScatterSeq(noCtx, nil, slices.Values([]int{1})))}
	},
	"bridge.ScatterSlices": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(bridge.ScatterSlices[int](ctx, ex, nil)), failed(bridge.ScatterSlices(noCtx, nil, make(chan []int)))}
	},
	"bridge.Result.AckWait": func(ctx context.Context, _ *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{bridge.Result[int]{}.AckWait(ctx), bridge.Result[int]{}.AckWait(noCtx)}
	},
	"bridge.Result.Nack": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		bridge.Result[int]{}.Nack(-time.Hour)
		return nil
	},
	"bridge.Result.Deliveries": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = bridge.Result[int]{}.Deliveries()
		return nil
	},
	"bridge.NewProducer": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{
			failed(bridge.NewProducer[int](ctx, nil)), failed(bridge.NewProducer[int](noCtx, ex)), failed(bridge.NewProducer[int](ctx, ex, nil)),
			failed(bridge.NewProducer[int](ctx, new(executor.Executor))),
		}
	},
	"bridge.Producer.Send": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		p, err := bridge.NewProducer[int](ctx, ex)
		return []error{noSend.Send(ctx, 1), new(bridge.Producer[int]).Send(ctx, 1), errors.Join(err, p.Send(noCtx, 1))}
	},
	"bridge.Producer.SendAll": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		p, err := bridge.NewProducer[int](ctx, ex)
		return []error{noSend.SendAll(ctx, nil), new(bridge.Producer[int]).SendAll(ctx, nil), errors.Join(err, p.SendAll(noCtx, []int{1}))}
	},
	"bridge.Producer.Flush": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		p, err := bridge.NewProducer[int](ctx, ex)
		return []error{noSend.Flush(ctx), new(bridge.Producer[int]).Flush(ctx), errors.Join(err, p.Flush(noCtx))}
	},
	"bridge.Producer.Close": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{noSend.Close(), new(bridge.Producer[int]).Close()}
	},
	"bridge.Producer.Queue": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = noSend.Queue(), new(bridge.Producer[int]).Queue()
		return nil
	},
	"bridge.SendError.Error": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{(*bridge.SendError)(nil), new(bridge.SendError)}
	},
	"bridge.SendError.Unwrap": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = (*bridge.SendError)(nil).Unwrap(), new(bridge.SendError).Unwrap()
		return nil
	},
	"bridge.Gather": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{
			failed(bridge.Gather(ctx, noQ)), failed(bridge.Gather(ctx, new(executor.Queue[int]))), failed(bridge.Gather(noCtx, q)),
			failed(bridge.Gather(ctx, q, nil)),
		}
	},
	"bridge.GatherSlices": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{failed(bridge.GatherSlices(ctx, noQ)), failed(bridge.GatherSlices(noCtx, q)), failed(bridge.GatherSlices(ctx, q, nil))}
	},
	"bridge.All": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{last(bridge.All(ctx, noQ)), last(bridge.All(noCtx, q)), last(bridge.All(ctx, q, nil))}
	},
	"bridge.Multiplex": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		for _, out := range bridge.Multiplex(noCtx, 2, closed(1), 1) {
			<-out
		}
		return nil
	},
	"bridge.Merge": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		for range bridge.Merge(noCtx, closed(1), closed(2)) {
		}
		return nil
	},
	"bridge.Push": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		bridge.Push(noCtx, closed(1), make(chan int, 1))
		return nil
	},
	"bridge.IsItemError": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		bridge.IsItemError(nil)
		return nil
	},
	"bridge.IsSourceError": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		bridge.IsSourceError(nil)
		return nil
	},
	"bridge.Result.AckThrough": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		bridge.Result[int]{}.AckThrough()
		return nil
	},
	"bridge.Result.Source": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = bridge.Result[int]{}.Source()
		return nil
	},
	"bridge.Result.Offset": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = bridge.Result[int]{}.Offset()
		return nil
	},
	"bridge.AckAll": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		bridge.AckAll[int](nil)
		bridge.AckAll(make([]bridge.Result[int], 2))
		return nil
	},
	"bridge.Result.Ack": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		bridge.Result[int]{}.Ack()
		return nil
	},
	"bridge.WithCodec": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		in := make(chan int)
		close(in)
		var noCodec *codecOfNone
		return []error{failed(bridge.Scatter(ctx, ex, in, bridge.WithCodec(noCodec))), failed(bridge.Scatter(ctx, ex, in, bridge.WithCodec(workers.Zstd(nil, 1))))}
	},
}

// closed returns a closed channel with one value in it.
func closed(v int) <-chan int {
	ch := make(chan int, 1)
	ch <- v
	close(ch)
	return ch
}

// codecOfNone is a codec whose methods panic for a nil pointer.
type codecOfNone struct{ workers.Codec }

var misusesOfExecutors = map[string]misuse{
	"executor.New": func(ctx context.Context, _ *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(executor.New(noCtx, "")), failed(executor.New(ctx, "", nil))}
	},
	"executor.NewInspector": func(ctx context.Context, _ *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(executor.NewInspector(noCtx, "redis://127.0.0.1:1")), failed(executor.NewInspector(ctx, "redis://127.0.0.1:1", nil))}
	},
	"executor.Executor.Register": func(_ context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		var noFunc *workers.Func[int, int]
		return []error{
			noEx.Register(identity), new(executor.Executor).Register(identity), ex.Register(nil), ex.Register(noFunc), ex.Register(workers.Func[int, int]{}),
			ex.Register(struct{ workers.Function }{}), ex.Register(identity, workers.Remote[int, int]("far")),
		}
	},
	"executor.Executor.Close": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{noEx.Close(), new(executor.Executor).Close()}
	},
	"executor.Executor.String": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = noEx.String(), new(executor.Executor).String()
		return nil
	},
	"executor.Executor.Flush": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{noEx.Flush(ctx), new(executor.Executor).Flush(ctx), ex.Flush(noCtx)}
	},
	"executor.Chain": func(ctx context.Context, ex *executor.Executor, q *executor.Queue[int]) []error {
		var none workers.Func[int, int]
		chain := executor.Chain(identity, identity)
		return []error{
			failed(executor.Submit(ctx, ex, executor.Chain(none, identity), 1)), failed(executor.Submit(ctx, ex, executor.Chain(identity, none), 1)),
			failed(executor.Map(ctx, chain, q)), ex.Register(chain),
		}
	},
	"executor.Executor.RemoveStage": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{noEx.RemoveStage(ctx, "q", "f"), ex.RemoveStage(noCtx, "q", "f"), ex.RemoveStage(ctx, "", "f"), ex.RemoveStage(ctx, "q", "")}
	},
	"executor.Executor.Delete": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{noEx.Delete(ctx, "q"), ex.Delete(noCtx, "q"), ex.Delete(ctx, "")}
	},
	"executor.Executor.DeadLetters": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{last(noEx.DeadLetters(ctx)), last(new(executor.Executor).DeadLetters(ctx)), last(ex.DeadLetters(noCtx))}
	},
	"executor.Executor.DeadLetterItems": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.DeadLetterItems(ctx, "1")), failed(ex.DeadLetterItems(noCtx, "1")), failed(ex.DeadLetterItems(ctx, ""))}
	},
	"executor.Executor.RetryDeadLetter": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{noEx.RetryDeadLetter(ctx, "1", ""), ex.RetryDeadLetter(noCtx, "1", ""), ex.RetryDeadLetter(ctx, "", ""), ex.RetryDeadLetter(ctx, "1", "q")}
	},
	"executor.Executor.DeleteDeadLetter": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{noEx.DeleteDeadLetter(ctx, "1"), ex.DeleteDeadLetter(noCtx, "1"), ex.DeleteDeadLetter(ctx, "")}
	},
	"executor.Executor.Functions": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.Functions(ctx)), failed(new(executor.Executor).Functions(ctx)), failed(ex.Functions(noCtx))}
	},
	"executor.Executor.Workers": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.Workers(ctx)), failed(new(executor.Executor).Workers(ctx)), failed(ex.Workers(noCtx))}
	},
	"executor.Executor.Queues": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.Queues(ctx)), failed(new(executor.Executor).Queues(ctx)), failed(ex.Queues(noCtx))}
	},
	"executor.Executor.Stages": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.Stages(ctx)), failed(new(executor.Executor).Stages(ctx)), failed(ex.Stages(noCtx))}
	},
	"executor.Executor.Sources": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.Sources(ctx)), failed(new(executor.Executor).Sources(ctx)), failed(ex.Sources(noCtx))}
	},
	"executor.Executor.Errors": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.Errors(ctx)), failed(new(executor.Executor).Errors(ctx)), failed(ex.Errors(noCtx))}
	},
	"executor.Executor.Server": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.Server(ctx)), failed(new(executor.Executor).Server(ctx)), failed(ex.Server(noCtx))}
	},
	"executor.Executor.History": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.History(ctx, "s")), failed(new(executor.Executor).History(ctx, "s")), failed(ex.History(noCtx, "s"))}
	},
	"executor.Executor.EndedFlows": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.EndedFlows(ctx)), failed(new(executor.Executor).EndedFlows(ctx)), failed(ex.EndedFlows(noCtx))}
	},
	"executor.Executor.MarkWatched": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{noEx.MarkWatched(ctx), new(executor.Executor).MarkWatched(ctx), ex.MarkWatched(noCtx)}
	},
	"executor.Executor.Where": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.Where(ctx, "s", 0)), failed(new(executor.Executor).Where(ctx, "s", 0)), failed(ex.Where(noCtx, "s", 0)), failed(ex.Where(ctx, "s", -1))}
	},
	"executor.Executor.Peek": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{
			failed(noEx.Peek(ctx, "q", "", 1)), failed(new(executor.Executor).Peek(ctx, "q", "", 1)), failed(ex.Peek(noCtx, "q", "", 1)), failed(ex.Peek(ctx, "q", "", 0)),
			failed(ex.Peek(ctx, "q", "nowhere", 1)), failed(ex.Peek(ctx, "", "", 1)),
		}
	},
	"executor.Executor.Snapshot": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noEx.Snapshot(ctx)), failed(new(executor.Executor).Snapshot(ctx)), failed(ex.Snapshot(noCtx))}
	},
	"inspect.Stage.Hung": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Stage{}.Hung(0)
		return nil
	},
	"inspect.Stage.ReplaceCommand": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Stage{}.ReplaceCommand("")
		return nil
	},
	"inspect.Stage.FailsOften": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = inspect.Stage{}.FailsOften()
		return nil
	},
	"inspect.Stage.CancelRemedy": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Stage{}.CancelRemedy(inspect.Call{})
		return nil
	},
	"inspect.Gather.IsStuck": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Gather{}.IsStuck(time.Time{})
		return nil
	},
	"inspect.Snapshot.NearestFunction": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Snapshot{Workers: make([]inspect.Worker, 2)}.NearestFunction("")
		return nil
	},
	"inspect.Stage.BusyShare": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Stage{}.BusyShare()
		return nil
	},
	"inspect.Stage.FullShare": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Stage{}.FullShare()
		return nil
	},
	"inspect.Queue.Unread": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Queue{}.Unread()
		return nil
	},
	"inspect.Snapshot.Flows": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Snapshot{}.Flows()
		_ = inspect.Snapshot{Queues: make([]inspect.Queue, 2), Stages: make([]inspect.Stage, 2)}.Flows()
		return nil
	},
	"inspect.Snapshot.FlowsAfter": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Snapshot{Queues: make([]inspect.Queue, 2), Stages: make([]inspect.Stage, 2)}.FlowsAfter(make([]inspect.Flow, 2))
		return nil
	},
	"inspect.Flow.SameCause": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Flow{}.SameCause(inspect.Flow{Bottleneck: new(inspect.Bottleneck)})
		return nil
	},
	"inspect.Flow.WithCause": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = inspect.Flow{}.WithCause(inspect.Flow{})
		return nil
	},
	"executor.ItemError.Error": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = (*executor.ItemError)(nil).Error()
		return nil
	},
	"executor.ItemError.Is": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = (*executor.ItemError)(nil).Is(nil), new(executor.ItemError).Is(nil)
		return nil
	},
}

var misusesOfQueues = map[string]misuse{
	"executor.Open": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{
			failed(executor.Open[int](ctx, nil, "q")), failed(executor.Open[int](noCtx, ex, "q")), failed(executor.Open[int](ctx, ex, "q", nil)),
			failed(executor.Open[int](ctx, new(executor.Executor), "q")), failed(executor.Open[int](ctx, ex, "")),
		}
	},
	"executor.Map": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{
			failed(executor.Map(ctx, identity, noQ)), failed(executor.Map(ctx, identity, new(executor.Queue[int]))), failed(executor.Map(noCtx, identity, q)),
			failed(executor.Map(ctx, identity, q, nil)), failed(executor.Map(ctx, identity, q, executor.StageOption(nil))),
			failed(executor.Map(ctx, workers.Func[int, int]{}, q)),
		}
	},
	"executor.FlatMap": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		none := workers.DefineFlatMap[int, int]("f", nil)
		return []error{
			failed(flow.FlatMap(ctx, workers.FlatFunc[int, int]{}, q)), failed(flow.FlatMap(ctx, none, q)), failed(flow.FlatMap(ctx, twice, noQ)),
			failed(flow.FlatMap(noCtx, twice, q)), failed(flow.FlatMap(ctx, twice, q, nil)),
			failed(executor.FlatMap(ctx, handle.Key{}, twice, noQ, nil)),
		}
	},
	"executor.Each": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		none, store := workers.DefineSink[int]("f", nil), workers.DefineSink("store", storeNothing)
		return []error{
			flow.Each(ctx, workers.Sink[int]{}, q), flow.Each(ctx, none, q), flow.Each(ctx, workers.DefineBatchSink[int]("f", nil), q), flow.Each(ctx, store, noQ),
			flow.Each(noCtx, store, q), flow.Each(ctx, store, q, nil), flow.Each(ctx, store, q, executor.InsertStage()),
			flow.Each(ctx, workers.DefineSink("store", storeNothing, workers.BatchSize(1, 2)), q),
		}
	},
	"executor.Filter": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		none := workers.DefineFilter[int]("f", nil)
		return []error{
			failed(flow.Filter(ctx, workers.Predicate[int]{}, q)), failed(flow.Filter(ctx, none, q)), failed(flow.Filter(ctx, positive, noQ)),
			failed(flow.Filter(noCtx, positive, q)), failed(flow.Filter(ctx, positive, q, nil)),
			failed(executor.Filter(ctx, handle.Key{}, positive, noQ, nil)),
		}
	},
	"executor.Feedback": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		body := func(q *executor.Queue[int]) (*executor.Queue[int], error) { return q, nil }
		next := func(context.Context, int) ([]int, error) { return nil, nil }
		return []error{
			failed(flow.Feedback(ctx, noQ, body, next)), failed(flow.Feedback(noCtx, q, body, next)),
			failed(flow.Feedback[int, int](ctx, q, nil, next)), failed(flow.Feedback(ctx, q, body, nil)),
			failed(executor.Feedback(ctx, handle.Key{}, new(executor.Queue[int]), body, next)),
		}
	},
	"executor.Map2": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{
			failed(executor.Map2(ctx, sum, noQ, q)), failed(executor.Map2(ctx, sum, q, noQ)), failed(executor.Map2(noCtx, sum, q, q)),
			failed(executor.Map2(ctx, sum, q, q, nil)),
		}
	},
	"executor.Multiplex": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{failed(executor.Multiplex(ctx, 2, noQ)), failed(executor.Multiplex(noCtx, 2, q)), failed(executor.Multiplex(ctx, 2, q, nil))}
	},
	"executor.Merge": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{failed(executor.Merge(ctx, noQ)), failed(executor.Merge(ctx, q, nil)), failed(executor.Merge(noCtx, q, q))}
	},
	"executor.Queue.Stored": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = noQ.Stored(), new(executor.Queue[int]).Stored()
		return nil
	},
	"executor.EndedError.Error": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{new(executor.EndedError)}
	},
	"executor.Queue.Name": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = noQ.Name(), new(executor.Queue[int]).Name()
		return nil
	},
	"executor.Queue.Done": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = noQ.Done(), new(executor.Queue[int]).Done()
		return nil
	},
	"executor.Queue.Err": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = noQ.Err(), new(executor.Queue[int]).Err()
		return nil
	},
	"executor.Queue.Len": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{failed(noQ.Len(ctx)), failed(new(executor.Queue[int]).Len(ctx)), failed(q.Len(noCtx))}
	},
	"executor.Queue.Dropped": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{failed(noQ.Dropped(ctx)), failed(new(executor.Queue[int]).Dropped(ctx)), failed(q.Dropped(noCtx))}
	},
	"executor.Queue.Seal": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{noQ.Seal(ctx), new(executor.Queue[int]).Seal(ctx), q.Seal(noCtx)}
	},
	"executor.Queue.Internal": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		typed, err := codec.For[int](nil)
		_, _, noExecutor := noQ.Internal(handle.Key{}).Scatter(ctx, noEx, typed, producer.Options{})
		_, _, noContext := new(executor.Queue[int]).Internal(handle.Key{}).Scatter(noCtx, ex, typed, producer.Options{})
		_, _, _, noQueue := noQ.Internal(handle.Key{}).Gather(ctx, consumer.ReceiverOptions{})
		return []error{errors.Join(err, noExecutor), noContext, noQueue}
	},
	"executor.Queue.Delete": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{noQ.Delete(ctx), new(executor.Queue[int]).Delete(ctx), q.Delete(noCtx)}
	},
}

var misusesOfFutures = map[string]misuse{
	"executor.Submit": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{
			failed(executor.Submit(ctx, nil, identity, 1)), failed(executor.Submit(noCtx, ex, identity, 1)), failed(executor.Submit(ctx, ex, identity, 1, nil)),
			failed(executor.Submit(ctx, new(executor.Executor), identity, 1)), failed(executor.Submit(ctx, ex, identity, 1, executor.StageOption(nil))),
			failed(executor.Submit(ctx, ex, workers.Func[int, int]{}, 1)),
		}
	},
	"executor.MapSlice": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(executor.MapSlice(ctx, nil, identity, nil)), failed(executor.MapSlice(noCtx, ex, identity, []int{1}))}
	},
	"executor.GatherSlice": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		futures, err := executor.MapSlice(ctx, ex, identity, []int{1})
		if err != nil {
			return nil
		}
		return []error{
			failed(executor.GatherSlice(ctx, []*executor.Future[int]{nil})), failed(executor.GatherSlice(noCtx, futures)),
			failed(executor.GatherSlice(ctx, []*executor.Future[int]{new(executor.Future[int])})),
		}
	},
	"executor.AsCompleted": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) (errs []error) {
		for f := range executor.AsCompleted(ctx, []*executor.Future[int]{nil, new(executor.Future[int])}) {
			errs = append(errs, failed(f.Result(ctx)))
		}
		futures, err := executor.MapSlice(ctx, ex, identity, []int{1})
		if err != nil {
			return nil
		}
		for f := range executor.AsCompleted(noCtx, futures) {
			errs = append(errs, failed(f.Result(noCtx)))
		}
		return errs
	},
	"executor.Futures": func(ctx context.Context, _ *executor.Executor, q *executor.Queue[int]) []error {
		return []error{last(executor.Futures(ctx, noQ)), last(executor.Futures(ctx, new(executor.Queue[int]))), last(executor.Futures(noCtx, q))}
	},
	"executor.Future.Done": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = noFut.Done(), new(executor.Future[int]).Done()
		return nil
	},
	"executor.Future.Result": func(ctx context.Context, _ *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{failed(noFut.Result(ctx)), failed(new(executor.Future[int]).Result(ctx)), failed(noFut.Result(noCtx))}
	},
	"executor.Future.Cancel": func(ctx context.Context, _ *executor.Executor, _ *executor.Queue[int]) []error {
		return []error{noFut.Cancel(ctx), new(executor.Future[int]).Cancel(ctx), noFut.Cancel(noCtx)}
	},
	"executor.WithCodec": func(ctx context.Context, ex *executor.Executor, _ *executor.Queue[int]) []error {
		var noCodec *codecOfNone
		return []error{failed(executor.Open[int](ctx, ex, "q", executor.WithCodec(noCodec)))}
	},
	"executor.InputAs": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		var none *executor.ItemError
		return []error{
			failed(executor.InputAs[int](nil, nil)), failed(executor.InputAs[int](none, nil)), failed(executor.InputAs[int](errors.New("no item"), nil)),
			failed(executor.InputAs[chan int](&executor.ItemError{Input: []byte("1")}, nil)), failed(executor.InputAs[int](&executor.ItemError{Input: []byte("1")}, nil)),
			failed(executor.InputAs[int](&executor.ItemError{Input: []byte("x"), InputType: "int (json)"}, nil)),
		}
	},
	"executor.Use": func(ctx context.Context, _ *executor.Executor, _ *executor.Queue[int]) []error {
		none := func(workers.Handler) workers.Handler { return nil }
		return []error{failed(executor.New(ctx, "", executor.Use(nil))), failed(executor.New(ctx, "", executor.Use(none)))}
	},
	"executor.Dialer": func(ctx context.Context, _ *executor.Executor, _ *executor.Queue[int]) []error {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		return []error{failed(executor.New(ctx, "redis://127.0.0.1:1", executor.Dialer(nil), executor.TLS(nil), executor.Logger(nil)))}
	},
}

var misusesOfWorkers = map[string]misuse{
	"workers.New": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{failed(workers.New("redis://127.0.0.1:1", nil)), failed(workers.New("redis://127.0.0.1:1", workers.Functions(nil)))}
	},
	"workers.Define": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.Define[int, int]("f", nil).Err(), workers.Define("f", func(_ context.Context, x int) (int, error) { return x, nil }, nil).Err()}
	},
	"workers.DefineBatch": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.DefineBatch[int, int]("f", nil).Err()}
	},
	"workers.Define2": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.Define2[int, int, int]("f", nil).Err()}
	},
	"workers.DefineFlatMap": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{
			workers.DefineFlatMap[int, int]("f", nil).Err(), workers.DefineFlatMap("", yieldTwice).Err(),
			workers.DefineFlatMap("f", yieldTwice, workers.BatchSize(1, 2)).Err(),
		}
	},
	"workers.RemoteFlatMap": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.RemoteFlatMap[int, int]("f", nil).Err()}
	},
	"workers.FlatFunc.Err": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.FlatFunc[int, int]{}.Err()}
	},
	"workers.FlatFunc.Name": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = workers.FlatFunc[int, int]{}.Name()
		return nil
	},
	"workers.DefineSink": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{
			workers.DefineSink[int]("f", nil).Err(), workers.DefineSink("", storeNothing).Err(), workers.DefineSink("f", storeNothing, workers.BatchSize(1, 2)).Err(),
			workers.DefineSink("f", func(context.Context, chan int) error { return nil }).Err(),
		}
	},
	"workers.DefineBatchSink": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.DefineBatchSink[int]("f", nil).Err(), workers.DefineBatchSink("", func(context.Context, []int) error { return nil }).Err()}
	},
	"workers.RemoteSink": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.RemoteSink[int]("f", nil).Err()}
	},
	"workers.Sink.Err": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.Sink[int]{}.Err()}
	},
	"workers.Sink.Name": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = workers.Sink[int]{}.Name()
		return nil
	},
	"workers.DefineFilter": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{
			workers.DefineFilter[int]("f", nil).Err(), workers.DefineFilter("", func(context.Context, int) (bool, error) { return true, nil }).Err(),
			workers.DefineFilter("f", func(context.Context, int) (bool, error) { return true, nil }, workers.BatchSize(1, 2)).Err(),
		}
	},
	"workers.RemoteFilter": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.RemoteFilter[int]("f", nil).Err()}
	},
	"workers.Predicate.Err": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.Predicate[int]{}.Err()}
	},
	"workers.Predicate.Name": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = workers.Predicate[int]{}.Name()
		return nil
	},
	"workers.Remote": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		var noCodec *codecOfNone
		return []error{workers.Remote[int, int]("f", nil).Err(), workers.Remote[int, int]("f", workers.WithCodec(noCodec)).Err()}
	},
	"workers.Zstd": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.Remote[int, int]("f", workers.WithCodec(workers.Zstd(nil, 1))).Err(), failed(workers.Zstd(nil, 1).Marshal(1))}
	},
	"workers.Use": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		none := func(workers.Handler) workers.Handler { return nil }
		return []error{failed(workers.New("redis://127.0.0.1:1", workers.Use(nil))), failed(workers.New("redis://127.0.0.1:1", workers.Use(none)))}
	},
	"workers.PauseIf": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{failed(workers.New("redis://127.0.0.1:1", workers.PauseIf(nil)))}
	},
	"workers.Permanent": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = workers.Permanent(nil)
		return nil
	},
	"workers.Unavailable": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = workers.Unavailable(nil)
		return nil
	},
	"workers.RetryAfter": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = workers.RetryAfter(nil, -1)
		return nil
	},
	"workers.ItemFrom": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = workers.ItemFrom(noCtx)
		_, _ = workers.ItemFrom(context.Background())
		return nil
	},
	"workers.Errors.Error": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.Errors(nil), workers.Errors{0: nil}}
	},
	"workers.Func.Err": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		return []error{workers.Func[int, int]{}.Err()}
	},
	"workers.Func.Name": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_ = workers.Func[int, int]{}.Name()
		return nil
	},
	"workers.Worker.Run": func(ctx context.Context, _ *executor.Executor, _ *executor.Queue[int]) []error {
		w, err := workers.New("redis://127.0.0.1:1", workers.Dialer(nil), workers.TLS(nil), workers.Logger(nil))
		return []error{noWork.Run(ctx), new(workers.Worker).Run(ctx), errors.Join(err, w.Run(noCtx))}
	},
	"workers.Worker.Register": func(ctx context.Context, _ *executor.Executor, _ *executor.Queue[int]) []error {
		w, err := workers.New("redis://127.0.0.1:1")
		return []error{noWork.Register(ctx, identity), new(workers.Worker).Register(ctx), errors.Join(err, w.Register(noCtx)), w.Register(ctx, nil)}
	},
	"workers.Worker.Ready": func(context.Context, *executor.Executor, *executor.Queue[int]) []error {
		_, _ = noWork.Ready(), new(workers.Worker).Ready()
		return nil
	},
}

// misuses has a row for each exported function and method with an argument that may be nil.
func misuses() map[string]misuse {
	all := map[string]misuse{}
	for _, part := range []map[string]misuse{misusesOfBridge, misusesOfExecutors, misusesOfQueues, misusesOfFutures, misusesOfWorkers} {
		maps.Copy(all, part)
	}
	return all
}

// No exported call panics for nil and zero values, and its error explains the problem.
func TestNilAndZeroValuesAreErrors(t *testing.T) {
	ex, err := executor.New(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := ex.Register(identity, sum); err != nil {
		t.Fatal(err)
	}
	for name, call := range misuses() {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("panic: %v", r)
				}
			}()
			q, err := bridge.Scatter(t.Context(), ex, make(chan int))
			if err != nil {
				t.Fatal(err)
			}
			for i, err := range call(t.Context(), ex, q) {
				if err == nil {
					t.Errorf("error %d is nil", i)
				} else if text := err.Error(); strings.Contains(text, "invalid memory address") || strings.Contains(text, "goroutine") {
					t.Errorf("error %d is that of a panic: %s", i, text)
				}
			}
		})
	}
}

func TestMisusesCoverExportedCalls(t *testing.T) {
	t.Parallel()
	rows := misuses()
	for name, fun := range calls(t) {
		option := results(fun) == "Option" || results(fun) == "Codec" // options are arguments of other calls
		if _, ok := rows[name]; !ok && !internal(fun) && !option {
			t.Errorf("no row for %s", name)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("%s is not exported", name)
	}
}

// calls returns the exported functions and methods of the public packages, by name.
func calls(t *testing.T) map[string]*doc.Func {
	t.Helper()
	found := map[string]*doc.Func{}
	for _, dir := range []string{"bridge", "executor", "workers", "inspect"} {
		var files []*ast.File
		for _, s := range sources(t) {
			if path.Dir(s.path) != dir || s.test() {
				continue
			}
			file, err := parser.ParseFile(positions, filepath.Join(root, s.path), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		pkg, err := doc.NewFromFiles(positions, files, module+"/"+dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, fun := range pkg.Funcs {
			found[dir+"."+fun.Name] = fun
		}
		for _, typ := range pkg.Types {
			for _, fun := range typ.Funcs {
				found[dir+"."+fun.Name] = fun
			}
			for _, fun := range typ.Methods {
				found[dir+"."+typ.Name+"."+fun.Name] = fun
			}
		}
	}
	return found
}

// internal reports whether a call is only for other packages of the module.
func internal(fun *doc.Func) bool {
	text := strings.Join(strings.Fields(fun.Doc), " ")
	return strings.Contains(text, "It is for the other packages")
}

// results returns "Option" for a function that returns an option, otherwise the name of its only
// result type.
func results(fun *doc.Func) string {
	list := fun.Decl.Type.Results
	if list == nil || len(list.List) != 1 {
		return ""
	}
	name, ok := list.List[0].Type.(*ast.Ident)
	switch {
	case !ok:
		return ""
	case strings.HasSuffix(name.Name, "Option"):
		return "Option"
	}
	return name.Name
}
