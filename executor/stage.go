package executor

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/handle"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/workers"
)

// warnAfter is the time after which Map warns of a function that no worker has.
const warnAfter = 2 * time.Second

// Map makes a stage over q and returns its out-queue: workers call f for every item of q and add
// the results, in the order of the items. An item that has failed goes to the out-queue without a
// call of f. Map does not wait for results. It costs one round trip; a few more if a queue has a name or
// the out-queue a bound, and once in each lease, since the workers that have f are read then.
//
// The stage is the one consumer of q. Errors: ErrStageExists if q has a stage of another function
// (see ReplaceStage), or if the named out-queue belongs to another stage. ErrConsumerExists if q
// has a gather. ErrTypeMismatch if f takes another type than q holds, or if all workers that have f
// have it with other types; workers of the last lease count as well. ErrFunctionNotRegistered, on the
// embedded broker, if f is not registered. ErrQueueNotFound if q was deleted. On Redis, if no live
// worker has f, the stage waits for one, and Map logs a warning two seconds later.
//
// The stage of a queue without a name belongs to the flow of that queue, see bridge.Scatter: the
// end of ctx is one of the conditions for the deletion of the flow.
//
// The stage of a named queue stays, with its out-queue, until the queue is deleted. The out-queue
// is named after q and f, unless Name is given: "orders.price", or, if that has more than 64
// characters, its first 47, a dot and the first 16 hexadecimal digits of its SHA-256. A further Map
// with f returns the same out-queue. If its options, such as Timeout or Retries, differ, they hold from
// then on: workers end the contexts of running calls and repeat the calls under the new options, which
// counts no attempt.
func Map[In, Out any](ctx context.Context, f workers.Func[In, Out], q *Queue[In], opts ...MapOption) (*Queue[Out], error) {
	return makeStage(ctx, "map", broker.KindMap, runner.Func[In, Out](f), q, opts)
}

// Filter is internal: package flow calls it.
func Filter[T any](ctx context.Context, _ handle.Key, f workers.Predicate[T], q *Queue[T], opts []MapOption) (*Queue[T], error) {
	return makeStage(ctx, "filter", broker.KindFilter, runner.Func[T, T](f), q, opts)
}

// FlatMap is internal: package flow calls it.
func FlatMap[In, Out any](ctx context.Context, _ handle.Key, f workers.FlatFunc[In, Out], q *Queue[In], opts []MapOption) (*Queue[Out], error) {
	return makeStage(ctx, "flatmap", broker.KindFlatMap, runner.Func[In, Out](f), q, opts)
}

// makeStage makes a stage of a kind. Errors name the call.
func makeStage[In, Out any](ctx context.Context, call, kind string, f runner.Func[In, Out], q *Queue[In], opts []MapOption) (_ *Queue[Out], err error) {
	s, err := mapOptions(call, opts)
	if err != nil {
		return nil, err
	}
	function := f.Function()
	if err := errChain(function); err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	limits, err := s.checkLimits(function)
	if err != nil {
		return nil, err
	}
	name := function.Name
	caller := ctx
	ctx, end, err := q.begin(ctx, call)
	if err != nil {
		return nil, err
	}
	defer end(&err)
	part := q.part
	if err := part.ex.registered(name); err != nil {
		return nil, fmt.Errorf("%s over queue %q: %w", call, q.q.Name, err)
	}
	in, typed := f.Codecs()
	want := signature{in: in.Info(), out: typed.Info(), filter: function.Filter, flatMap: function.FlatMap}
	if want.in.Wildcard() {
		want.in = info(q.q)
	}
	found, held, err := part.types(ctx, name, s.tagList(), want)
	if err != nil {
		return nil, err
	}
	if err := part.fit(ctx, q.q, found.in); err != nil {
		return nil, fmt.Errorf("%s %s: %w", call, name, err)
	}
	put, s, err := part.placed(ctx, call, s, name, q.q, found.out)
	if err != nil {
		return nil, err
	}
	s.counted = function.Filter || function.FlatMap
	var m making
	out, err := part.derive(ctx, &m, s, name, found.out, paths(q.q), q.q)
	if err != nil {
		return nil, err
	}
	stage := broker.Stage{
		ID: out.Name, Kind: kind, Function: name, Ins: []broker.Queue{q.q}, Outs: []broker.Out{{Queue: out}},
		InCodec: found.in.Codec, InType: found.in.Type, OutCodec: found.out.Codec, OutType: found.out.Type,
		Timeout: s.timeout, Retries: s.retries, Backoff: s.backoff, MaxBackoff: s.longest, NoFuse: s.noFuse, Tags: s.tagList(), Limits: limits,
	}
	if err := part.stage(ctx, caller, stage, &m, put); err != nil {
		return nil, err
	}
	if !held {
		part.warnLater(ctx, name, s.tagList(), q.q.Name)
	}
	return &Queue[Out]{part: part, q: out, typed: typed}, nil
}

// A putStage makes a stage, and before it the planned queues.
type putStage func(ctx context.Context, s broker.Stage, planned ...broker.Queue) error

// placed returns the call that makes a stage over a queue, as the options say, and the options with the
// name of the out-queue that the stage continues.
func (p *partition) placed(
	ctx context.Context, call string, s stageOptions, function string, q broker.Queue, out codec.Info,
) (put putStage, _ stageOptions, err error) {
	if s.insert { // the queues have names, so none is planned
		return func(ctx context.Context, s broker.Stage, _ ...broker.Queue) error { return p.insert(ctx, s) }, s, insertable(call, q, out)
	}
	put = p.c.Stage
	if s.replace {
		put = p.replace
	}
	s, err = p.continued(ctx, s, function, q)
	return put, s, err
}

// fit compares the type of a queue with that which its reader takes. A queue of encoded items gets that
// type.
func (p *partition) fit(ctx context.Context, q broker.Queue, takes codec.Info) error {
	if !fits(info(q), takes) {
		return fmt.Errorf("over queue %q: %w: the function takes %v, the queue holds %v", q.Name, ErrTypeMismatch, takes, info(q))
	}
	if info(q).Wildcard() && !takes.Wildcard() {
		return p.c.Adopt(ctx, q, takes.Codec, takes.Type)
	}
	return nil
}

// continued names the out-queue of the stage that a queue has, if the new stage continues it: a
// stage of the same function, a removed one, or any stage that may be replaced.
func (p *partition) continued(ctx context.Context, s stageOptions, function string, q broker.Queue) (stageOptions, error) {
	if s.name != "" || q.Owner != "" && !s.replace {
		return s, nil
	}
	old, found, err := p.c.StageOf(ctx, q.Name)
	if err != nil || !found || !old.Maps() || old.Function != function && !s.replace && !old.Removed() {
		return s, err
	}
	out, err := p.c.Look(ctx, old.Outs[0].Name)
	if errors.Is(err, ErrQueueNotFound) { // it was deleted meanwhile, and with it the stage
		return s, nil
	}
	s.name, s.owner = out.Name, out.Owner
	return s, err
}

// A making is the queues of a call that makes stages.
type making struct {
	made    []broker.Queue // those that did not exist before
	planned []broker.Queue // of made, those that the first stage creates
}

// derive makes the out-queue of a stage, or plans one without a name of the user's. The out-queue stays
// if all in-queues do. m gets it if it is new.
func (p *partition) derive(ctx context.Context, m *making, s stageOptions, function string, t codec.Info, from []string, ins ...broker.Queue) (broker.Queue, error) {
	out := broker.Queue{Name: s.name, Owner: s.owner, Bounds: s.bounds, From: from, Seal: true, Flow: ins[0].Flow}
	if s.counted || slices.ContainsFunc(ins, broker.Queue.Counted) {
		out.V = broker.VersionCounts
	}
	switch {
	case s.name != "":
	case ins[0].Owner != "":
		out.Name, out.Owner = uniqueName(function), p.ex.id
	default:
		out.Name = derivedName(ins[0].Name, function)
	}
	for _, in := range ins {
		if in.Owner != "" && out.Owner == "" && s.name == "" {
			out.Name, out.Owner = uniqueName(function), p.ex.id
		}
	}
	if s.name == "" && out.Owner != "" {
		q := p.c.Planned(ofType(out, t))
		m.made, m.planned = append(m.made, q), append(m.planned, q)
		return q, nil
	}
	q, fresh, err := p.declare(ctx, out, t)
	if fresh {
		m.made = append(m.made, q)
	}
	return q, err
}

// derivedName returns the name of the queue behind a function over a named queue, the same in each
// process. Of a name that is too long it keeps the beginning and adds a hash.
func derivedName(queue, function string) string {
	name := queue + "." + function
	if len(name) <= broker.MaxName {
		return name
	}
	hash := fmt.Sprintf(".%.8x", sha256.Sum256([]byte(name)))
	return name[:broker.MaxName-len(hash)] + hash
}

// replace makes a stage in the place of the one that its in-queue has.
func (p *partition) replace(ctx context.Context, s broker.Stage, planned ...broker.Queue) error {
	err := p.c.Stage(ctx, s, planned...)
	var conflict *broker.StageConflict
	if errors.As(err, &conflict) && conflict.Replaceable() {
		return p.c.Replace(ctx, s, conflict.Old)
	}
	return err
}

// unmake deletes the queues that a call has made before it failed with err. It returns err.
func (p *partition) unmake(ctx context.Context, made []broker.Queue, err error) error {
	p.discard(made...)
	if ctx.Err() != nil { // the stage may exist: a queue with a name of the user's stays
		return err
	}
	var named []string
	for _, q := range made {
		if q.Owner == "" {
			named = append(named, q.Name)
		}
	}
	return errors.Join(err, p.c.DeleteAll(ctx, named))
}

// stage makes a stage with put, and deletes the queues made for it if that fails. caller is the
// context with whose end the flow may end.
func (p *partition) stage(ctx, caller context.Context, s broker.Stage, m *making, put putStage) error {
	err := put(ctx, s, m.planned...)
	if m.planned = nil; err == nil {
		err = p.limitBatches(ctx, s)
	}
	if err != nil {
		return p.unmake(ctx, m.made, err)
	}
	for _, in := range s.Ins {
		p.resumeOwner(in)
	}
	for _, out := range s.Outs {
		if out.Owner != "" {
			p.flows.add(caller, out.Name, nil, s.Inputs()...)
		}
	}
	return nil
}

// limitBatches bounds the batches of the flow of a stage that adds to a queue with a bound.
func (p *partition) limitBatches(ctx context.Context, s broker.Stage) error {
	if len(s.Outs) == 0 || s.Outs[0].Max == 0 {
		return nil
	}
	var roots []string
	for _, path := range paths(s.Outs[0].Queue) {
		root, _ := broker.Root(path)
		roots = append(roots, root)
	}
	return p.c.LimitBatches(ctx, roots, s.Outs[0].Max)
}

func cards(p broker.Process) (list []broker.FunctionCard) {
	if json.Unmarshal([]byte(p.Card["functions"]), &list) != nil {
		return nil
	}
	return list
}

// warnLater warns if no worker has the function and the tags after a while.
func (p *partition) warnLater(ctx context.Context, function string, tags []string, queue string) {
	bound, release, err := p.ex.tasks.bind(context.WithoutCancel(ctx))
	if err != nil {
		return
	}
	go func() {
		defer release()
		timer := time.NewTimer(warnAfter)
		defer timer.Stop()
		select {
		case <-bound.Done():
			return
		case <-timer.C:
		}
		if held, err := p.hasWorker(bound, function, tags); err == nil && !held {
			p.ex.log.WarnContext(bound, "no live worker has the function; its stage waits for one: "+
				"start a worker with it, or Register it here", append([]any{"function", function, "queue", queue}, tagAttr(tags)...)...)
		}
	}()
}

// hasWorker reports whether a live worker has a function and tags.
func (p *partition) hasWorker(ctx context.Context, function string, tags []string) (bool, error) {
	found, err := p.signatures(ctx, function, tags)
	return len(found.workers) > 0, err
}

// tagAttr returns the tags of a stage as an attribute of a log, if it has any.
func tagAttr(tags []string) []any {
	if len(tags) == 0 {
		return nil
	}
	return []any{"tags", strings.Join(tags, ",")}
}

// A signature is the types of a function, and what kind of function it is.
type signature struct {
	in, out         codec.Info
	filter, flatMap bool
}

func (s signature) fits(other signature) bool {
	return fits(s.in, other.in) && fits(s.out, other.out) && s.filter == other.filter && s.flatMap == other.flatMap
}

func (s signature) String() string {
	if s.filter {
		return fmt.Sprintf("as a filter of %v", s.in)
	}
	if s.flatMap && s.out.Nothing() {
		return fmt.Sprintf("as a sink of %v", s.in)
	}
	if s.flatMap {
		return fmt.Sprintf("as a flat map from %v to %v", s.in, s.out)
	}
	return fmt.Sprintf("from %v to %v", s.in, s.out)
}

// signatureOf returns the types of a function of a worker.
func signatureOf(card broker.FunctionCard) signature {
	return signature{
		in: codec.Info{Codec: card.InCodec, Type: card.In}, out: codec.Info{Codec: card.OutCodec, Type: card.Out},
		filter: card.Filter, flatMap: card.FlatMap,
	}
}

// types compares a function with that of the live workers that have the tags. If the caller deals in encoded items,
// types takes the types from the workers: of several, those that most workers have. held: a worker
// fits. It is an error only if all workers with the function have other types; workers with other
// types leave the stage to the fitting ones.
func (p *partition) types(ctx context.Context, name string, tags []string, want signature) (found signature, held bool, err error) {
	known, err := p.fitting(ctx, name, tags, want)
	if err != nil {
		return want, false, err
	}
	count := known.workers
	best, fitting := mostCommon(count, want)
	switch {
	case len(count) == 0:
		return want, false, nil
	case fitting == 0 && want.out.Wildcard() && best.filter == want.filter && best.flatMap == want.flatMap:
		return want, true, fmt.Errorf("function %q: %w: it takes %v, the queue has %v", name, ErrTypeMismatch, best.in, want.in)
	case fitting == 0:
		return want, true, fmt.Errorf("function %q: %w: the workers have it %v, this handle is %v", name, ErrTypeMismatch, best, want)
	case len(count) > 1:
		p.ex.log.WarnContext(ctx, "some workers have a function with other types: they are left out", "function", name, "types", best.String())
	}
	if found := known.versions[best]; len(found) > 1 {
		p.ex.log.WarnContext(ctx, "workers have a function in several versions: their results mix",
			"function", name, "versions", fmt.Sprintf("%q", slices.Sorted(maps.Keys(found))))
	}
	if want.in.Wildcard() {
		want.in = best.in
	}
	if want.out.Wildcard() {
		want.out = best.out
	}
	return want, true, nil
}
