package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/workers"
)

// nobody is the time after which a function that no worker has is worth a warning.
const nobody = 2 * time.Second

// Map makes a stage: workers call f for every item of q, and the results go, in
// the order of the items, to the queue that it returns. Items that have failed
// pass through; f does not see them.
//
// The stage is the one consumer of q. ErrStageExists: q has a stage of another function,
// see ReplaceStage, or the named out-queue belongs to another stage. ErrConsumerExists: q has a
// gather. ErrTypeMismatch: f takes another type than q holds, or the fleet has it with other
// types. ErrFunctionNotRegistered: on the embedded broker, Register f before. On Redis, if
// no live worker has f, Map logs a warning and the stage waits for a worker.
//
// The stage of a queue without a name goes with its flow, see bridge.Scatter: ctx is one of the
// contexts whose end lets the flow go.
//
// A stage over a named queue is durable itself: its out-queue is named after q and f,
// unless Name gives a name. Calling Map again with f returns the same out-queue. If
// options of the stage differ, such as Timeout or Retries, they hold from then on: workers
// end the context of the calls that run and make these calls again under the new options,
// which counts no attempt. If the stage is the same, the call has no effect.
func Map[In, Out any](ctx context.Context, f workers.Func[In, Out], q *Queue[In], opts ...MapOption) (_ *Queue[Out], err error) {
	s, err := mapOptions("map", opts)
	if err != nil {
		return nil, err
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	caller := ctx
	ctx, end, err := q.begin(ctx, "map")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	ex := q.ex
	if err := ex.registered(f.Name()); err != nil {
		return nil, fmt.Errorf("map over queue %q: %w", q.q.Name, err)
	}
	in, typed := f.Codecs()
	wanted := in.Info()
	if wanted.Wildcard() {
		wanted = info(q.q)
	}
	inType, outType, held, err := ex.types(ctx, f.Name(), wanted, typed.Info())
	if err != nil {
		return nil, err
	}
	if !fits(info(q.q), inType) {
		return nil, fmt.Errorf("map %s over queue %q: %w: the function takes %v, the queue holds %v",
			f.Name(), q.q.Name, ErrTypeMismatch, inType, info(q.q))
	}
	if info(q.q).Wildcard() && !inType.Wildcard() {
		if err := ex.c.Adopt(ctx, q.q, inType.Codec, inType.Type); err != nil {
			return nil, err
		}
	}
	if s, err = ex.again(ctx, s, f.Name(), q.q); err != nil {
		return nil, err
	}
	out, made, err := ex.derive(ctx, s, f.Name(), outType, paths(q.q), q.q)
	if err != nil {
		return nil, err
	}
	stage := broker.Stage{
		ID: out.Name, Kind: broker.KindMap, Function: f.Name(), Ins: []broker.Queue{q.q}, Outs: []broker.Out{{Queue: out}},
		InCodec: inType.Codec, InType: inType.Type, OutCodec: outType.Codec, OutType: outType.Type,
		Timeout: s.timeout, Retries: s.retries, Backoff: s.backoff, MaxBackoff: s.longest, NoFuse: s.alone,
	}
	put := ex.c.Stage
	if s.replace {
		put = ex.replace
	}
	if err := ex.stage(ctx, caller, stage, made, put); err != nil {
		return nil, err
	}
	if !held {
		ex.warnLater(ctx, f.Name(), q.q.Name)
	}
	return &Queue[Out]{ex: ex, q: out, typed: typed}, nil
}

// again names the out-queue of the stage that a queue has, if a stage of the function goes
// on with it: one of the same function, or of any that may be replaced.
func (ex *Executor) again(ctx context.Context, s stageOptions, function string, q broker.Queue) (stageOptions, error) {
	if s.name != "" || q.Owner != "" && !s.replace {
		return s, nil
	}
	old, found, err := ex.c.StageOf(ctx, q.Name)
	if err != nil || !found || old.Kind != broker.KindMap || old.Function != function && !s.replace {
		return s, err
	}
	out, err := ex.c.Look(ctx, old.Outs[0].Name)
	if errors.Is(err, ErrQueueNotFound) { // it was deleted meanwhile, and with it the stage
		return s, nil
	}
	s.name, s.owner = out.Name, out.Owner
	return s, err
}

// derive makes the queue that a stage writes to. It is as durable as those
// that the stage reads. made has it if it was not there.
func (ex *Executor) derive(ctx context.Context, s stageOptions, function string, t codec.Info, from []string, ins ...broker.Queue) (q broker.Queue, made []broker.Queue, err error) {
	out := broker.Queue{Name: s.name, Owner: s.owner, Max: s.max, MaxB: s.maxBytes, From: from, Seal: true, Flow: ins[0].Flow}
	switch {
	case s.name != "":
	case ins[0].Owner != "":
		out.Name, out.Owner = fresh(function), ex.id
	default:
		out.Name = ins[0].Name + "." + function
		if len(out.Name) > 64 {
			return broker.Queue{}, nil, fmt.Errorf("%w: %q is too long for a queue: choose one with executor.Name", ErrInvalidName, out.Name)
		}
	}
	for _, in := range ins {
		if in.Owner != "" && out.Owner == "" && s.name == "" {
			out.Name, out.Owner = fresh(function), ex.id
		}
	}
	q, fresh, err := ex.declare(ctx, out, t)
	if fresh {
		made = []broker.Queue{q}
	}
	return q, made, err
}

// replace makes a stage in the place of the one that its in-queue has.
func (ex *Executor) replace(ctx context.Context, s broker.Stage) error {
	err := ex.c.Stage(ctx, s)
	var conflict *broker.StageConflict
	if errors.As(err, &conflict) && conflict.Replaceable() {
		return ex.c.Replace(ctx, s, conflict.Old)
	}
	return err
}

// unmake deletes queues that a call has made before it failed with err, which it returns.
func (ex *Executor) unmake(ctx context.Context, made []broker.Queue, err error) error {
	ex.discard(made...)
	if ctx.Err() != nil { // the stage may be there: what has a name of the user's stays until it is deleted
		return err
	}
	var named []string
	for _, q := range made {
		if q.Owner == "" {
			named = append(named, q.Name)
		}
	}
	return errors.Join(err, ex.c.DeleteAll(ctx, named))
}

// stage makes a stage by put, and takes back the queues made for it if it is refused. caller is the
// context of the caller, with which a flow ends.
func (ex *Executor) stage(ctx, caller context.Context, s broker.Stage, made []broker.Queue, put func(context.Context, broker.Stage) error) error {
	err := put(ctx, s)
	if err == nil {
		err = ex.bound(ctx, s)
	}
	if err != nil {
		return ex.unmake(ctx, made, err)
	}
	for _, in := range s.Ins {
		ex.resumeOf(in)
	}
	for _, out := range s.Outs {
		if out.Owner != "" {
			ex.flows.add(caller, out.Name, nil, s.Inputs()...)
		}
	}
	return nil
}

// bound bounds the batches of the flow, if its stage adds to a queue with a bound.
func (ex *Executor) bound(ctx context.Context, s broker.Stage) error {
	if len(s.Outs) == 0 || s.Outs[0].Max == 0 {
		return nil
	}
	var roots []string
	for _, path := range paths(s.Outs[0].Queue) {
		root, _ := broker.Root(path)
		roots = append(roots, root)
	}
	return ex.c.LimitBatches(ctx, roots, s.Outs[0].Max)
}

func cards(p broker.Process) (list []broker.FunctionCard) {
	if json.Unmarshal([]byte(p.Card["functions"]), &list) != nil {
		return nil
	}
	return list
}

// warnLater warns if no worker has the function after a while.
func (ex *Executor) warnLater(ctx context.Context, function, queue string) {
	bound, release, err := ex.tasks.bind(context.WithoutCancel(ctx))
	if err != nil {
		return
	}
	go func() {
		defer release()
		timer := time.NewTimer(nobody)
		defer timer.Stop()
		select {
		case <-bound.Done():
			return
		case <-timer.C:
		}
		if _, _, held, err := ex.types(bound, function, codec.Info{}, codec.Info{}); err == nil && !held {
			ex.log.WarnContext(bound, "no live worker has the function; its stage waits for one: "+
				"start a worker with it, or Register it here", "function", function, "queue", queue)
		}
	}()
}

// Multiplex makes n equal queues of one: each gets all items, in order. The
// slowest one holds the others back once its bound is reached. A copy costs no
// call of a function.
func Multiplex[T any](ctx context.Context, n int, q *Queue[T], opts ...MapOption) (_ []*Queue[T], err error) {
	s, err := mapOptions("multiplex", opts)
	if err != nil {
		return nil, err
	}
	caller := ctx
	ctx, end, err := q.begin(ctx, "multiplex")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	if n < 1 {
		return nil, fmt.Errorf("multiplex queue %q: %d queues: there must be at least 1", q.q.Name, n)
	}
	if s.name != "" {
		return nil, fmt.Errorf("multiplex queue %q: one name does not fit %d queues: leave executor.Name out", q.q.Name, n)
	}
	stage := broker.Stage{Kind: broker.KindCopy, Ins: []broker.Queue{q.q}}
	queues := make([]*Queue[T], n)
	var made []broker.Queue
	for i := range queues {
		branch := fmt.Sprintf("~%d", i)
		var from []string
		for _, path := range paths(q.q) {
			from = append(from, path+branch)
		}
		out, fresh, err := q.ex.derive(ctx, s, fmt.Sprintf("branch%d", i), info(q.q), from, q.q)
		if err != nil {
			return nil, q.ex.unmake(ctx, made, err)
		}
		made = append(made, fresh...)
		stage.Outs = append(stage.Outs, broker.Out{Queue: out, Branch: branch})
		queues[i] = &Queue[T]{ex: q.ex, q: out, typed: q.typed}
	}
	stage.ID = stage.Outs[0].Name
	if err := q.ex.stage(ctx, caller, stage, made, q.ex.c.Stage); err != nil {
		return nil, err
	}
	return queues, nil
}

// Merge makes one queue of several: each item of each of them, the order within
// each source kept. It ends when all have ended.
func Merge[T any](ctx context.Context, q *Queue[T], others ...*Queue[T]) (_ *Queue[T], err error) {
	caller := ctx
	ctx, end, err := q.begin(ctx, "merge")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	ins := []broker.Queue{q.q}
	from := paths(q.q)
	for _, other := range others {
		if err := other.check("merge"); err != nil {
			return nil, err
		}
		if err := q.ex.together("merge", other.ex); err != nil {
			return nil, err
		}
		if !fits(info(q.q), info(other.q)) {
			return nil, fmt.Errorf("merge: %w: %q holds %v, %q holds %v", ErrTypeMismatch, q.q.Name, info(q.q), other.q.Name, info(other.q))
		}
		ins = append(ins, other.q)
		from = append(from[:len(from):len(from)], paths(other.q)...)
	}
	out, made, err := q.ex.derive(ctx, stageOptions{}, "merge", info(q.q), from, ins...)
	if err != nil {
		return nil, err
	}
	for i, in := range ins {
		stage := broker.Stage{ID: fmt.Sprintf("%s.%d", out.Name, i), Kind: broker.KindCopy, Ins: ins[i : i+1], Outs: []broker.Out{{Queue: out}}}
		if err := q.ex.stage(ctx, caller, stage, made, q.ex.c.Stage); err != nil {
			return nil, fmt.Errorf("merge queue %q: %w", in.Name, err)
		}
	}
	return &Queue[T]{ex: q.ex, q: out, typed: q.typed}, nil
}
