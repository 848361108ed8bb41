package executor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/workers"
)

// warnAfter is the time after which Map warns of a function that no worker has.
const warnAfter = 2 * time.Second

// Map makes a stage over q and returns its out-queue: workers call f for every item of q and add
// the results, in the order of the items. An item that has failed goes to the out-queue without a
// call of f. Map does not wait for results; it costs a few round trips.
//
// The stage is the one consumer of q. Errors: ErrStageExists if q has a stage of another function
// (see ReplaceStage), or if the named out-queue belongs to another stage. ErrConsumerExists if q
// has a gather. ErrTypeMismatch if f takes another type than q holds, or if all workers that have f
// have it with other types. ErrFunctionNotRegistered, on the embedded broker, if f is not
// registered. ErrQueueNotFound if q was deleted. On Redis, if no live worker has f, the stage waits
// for one, and Map logs a warning two seconds later.
//
// The stage of a queue without a name belongs to the flow of that queue, see bridge.Scatter: the
// end of ctx is one of the conditions for the deletion of the flow.
//
// The stage of a named queue stays, with its out-queue, until the queue is deleted. The out-queue
// is named after q and f, unless Name is given. A further Map with f returns the same out-queue. If
// its options, such as Timeout or Retries, differ, they hold from then on: workers end the contexts
// of running calls and repeat the calls under the new options, which counts no attempt.
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
	part := q.part
	if err := part.ex.registered(f.Name()); err != nil {
		return nil, fmt.Errorf("map over queue %q: %w", q.q.Name, err)
	}
	in, typed := runner.Func[In, Out](f).Codecs()
	wanted := in.Info()
	if wanted.Wildcard() {
		wanted = info(q.q)
	}
	inType, outType, held, err := part.types(ctx, f.Name(), s.tagList(), wanted, typed.Info())
	if err != nil {
		return nil, err
	}
	if !fits(info(q.q), inType) {
		return nil, fmt.Errorf("map %s over queue %q: %w: the function takes %v, the queue holds %v",
			f.Name(), q.q.Name, ErrTypeMismatch, inType, info(q.q))
	}
	if info(q.q).Wildcard() && !inType.Wildcard() {
		if err := part.c.Adopt(ctx, q.q, inType.Codec, inType.Type); err != nil {
			return nil, err
		}
	}
	if s, err = part.continued(ctx, s, f.Name(), q.q); err != nil {
		return nil, err
	}
	out, made, err := part.derive(ctx, s, f.Name(), outType, paths(q.q), q.q)
	if err != nil {
		return nil, err
	}
	stage := broker.Stage{
		ID: out.Name, Kind: broker.KindMap, Function: f.Name(), Ins: []broker.Queue{q.q}, Outs: []broker.Out{{Queue: out}},
		InCodec: inType.Codec, InType: inType.Type, OutCodec: outType.Codec, OutType: outType.Type,
		Timeout: s.timeout, Retries: s.retries, Backoff: s.backoff, MaxBackoff: s.longest, NoFuse: s.noFuse, Tags: s.tagList(),
	}
	put := part.c.Stage
	if s.replace {
		put = part.replace
	}
	if err := part.stage(ctx, caller, stage, made, put); err != nil {
		return nil, err
	}
	if !held {
		part.warnLater(ctx, f.Name(), s.tagList(), q.q.Name)
	}
	return &Queue[Out]{part: part, q: out, typed: typed}, nil
}

// continued names the out-queue of the stage that a queue has, if the new stage continues it: a
// stage of the same function, or any stage that may be replaced.
func (p *partition) continued(ctx context.Context, s stageOptions, function string, q broker.Queue) (stageOptions, error) {
	if s.name != "" || q.Owner != "" && !s.replace {
		return s, nil
	}
	old, found, err := p.c.StageOf(ctx, q.Name)
	if err != nil || !found || old.Kind != broker.KindMap || old.Function != function && !s.replace {
		return s, err
	}
	out, err := p.c.Look(ctx, old.Outs[0].Name)
	if errors.Is(err, ErrQueueNotFound) { // it was deleted meanwhile, and with it the stage
		return s, nil
	}
	s.name, s.owner = out.Name, out.Owner
	return s, err
}

// derive makes the out-queue of a stage. The out-queue stays if all in-queues do. made has it if it
// is new.
func (p *partition) derive(ctx context.Context, s stageOptions, function string, t codec.Info, from []string, ins ...broker.Queue) (q broker.Queue, made []broker.Queue, err error) {
	out := broker.Queue{Name: s.name, Owner: s.owner, Bounds: s.bounds, From: from, Seal: true, Flow: ins[0].Flow}
	switch {
	case s.name != "":
	case ins[0].Owner != "":
		out.Name, out.Owner = uniqueName(function), p.ex.id
	default:
		out.Name = ins[0].Name + "." + function
		if len(out.Name) > 64 {
			return broker.Queue{}, nil, fmt.Errorf("%w: %q is too long for a queue: choose one with executor.Name", ErrInvalidName, out.Name)
		}
	}
	for _, in := range ins {
		if in.Owner != "" && out.Owner == "" && s.name == "" {
			out.Name, out.Owner = uniqueName(function), p.ex.id
		}
	}
	q, fresh, err := p.declare(ctx, out, t)
	if fresh {
		made = []broker.Queue{q}
	}
	return q, made, err
}

// replace makes a stage in the place of the one that its in-queue has.
func (p *partition) replace(ctx context.Context, s broker.Stage) error {
	err := p.c.Stage(ctx, s)
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
func (p *partition) stage(ctx, caller context.Context, s broker.Stage, made []broker.Queue, put func(context.Context, broker.Stage) error) error {
	err := put(ctx, s)
	if err == nil {
		err = p.limitBatches(ctx, s)
	}
	if err != nil {
		return p.unmake(ctx, made, err)
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
		if _, _, held, err := p.types(bound, function, tags, codec.Info{}, codec.Info{}); err == nil && !held {
			p.ex.log.WarnContext(bound, "no live worker has the function; its stage waits for one: "+
				"start a worker with it, or Register it here", append([]any{"function", function, "queue", queue}, tagAttr(tags)...)...)
		}
	}()
}

// tagAttr returns the tags of a stage as an attribute of a log, if it has any.
func tagAttr(tags []string) []any {
	if len(tags) == 0 {
		return nil
	}
	return []any{"tags", strings.Join(tags, ",")}
}

// A signature is the types of a function.
type signature struct{ in, out codec.Info }

func (s signature) fits(other signature) bool { return fits(s.in, other.in) && fits(s.out, other.out) }

func (s signature) String() string { return fmt.Sprintf("from %v to %v", s.in, s.out) }

// compare orders signatures by their text.
func (s signature) compare(other signature) int { return cmp.Compare(s.String(), other.String()) }

// types compares a function with that of the live workers that have the tags. If the caller deals in encoded items,
// types takes the types from the workers: of several, those that most workers have. held: a worker
// fits. It is an error only if all workers with the function have other types; workers with other
// types leave the stage to the fitting ones.
func (p *partition) types(ctx context.Context, name string, tags []string, in, out codec.Info) (inType, outType codec.Info, held bool, err error) {
	live, err := p.c.Processes(ctx, broker.RoleWorker, p.ex.lease)
	if err != nil {
		return in, out, false, err
	}
	want, stage := signature{in, out}, broker.Stage{Tags: tags}
	count, versions := map[signature]int{}, map[signature]map[string]bool{}
	for _, p := range live {
		if !stage.Admits(splitTags(p.Card["tags"])) {
			continue
		}
		for _, card := range cards(p) {
			if card.Name == name {
				theirs := signature{codec.Info{Codec: card.InCodec, Type: card.In}, codec.Info{Codec: card.OutCodec, Type: card.Out}}
				if count[theirs]++; versions[theirs] == nil {
					versions[theirs] = map[string]bool{}
				}
				versions[theirs][card.Version] = true
			}
		}
	}
	best, fitting := mostCommon(count, want)
	switch {
	case len(count) == 0:
		return in, out, false, nil
	case fitting == 0:
		return in, out, true, fmt.Errorf("function %q: %w: the workers have it %v, this handle is %v", name, ErrTypeMismatch, best, want)
	case len(count) > 1:
		p.ex.log.WarnContext(ctx, "some workers have a function with other types: they are left out", "function", name, "types", best.String())
	}
	if found := versions[best]; len(found) > 1 {
		p.ex.log.WarnContext(ctx, "workers have a function in several versions: their results mix",
			"function", name, "versions", fmt.Sprintf("%q", slices.Sorted(maps.Keys(found))))
	}
	if in.Wildcard() {
		in = best.in
	}
	if out.Wildcard() {
		out = best.out
	}
	return in, out, true, nil
}

// mostCommon returns the signature that most workers have, of the fitting ones if there are any,
// and the number of fitting ones.
func mostCommon(count map[signature]int, want signature) (best signature, fitting int) {
	for i, s := range slices.SortedFunc(maps.Keys(count), signature.compare) {
		if s.fits(want) {
			fitting++
		}
		better := count[s] > count[best]
		if i == 0 || s.fits(want) && (!best.fits(want) || better) {
			best = s
		}
	}
	return best, fitting
}
