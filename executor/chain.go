package executor

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/workers"
)

// Chain returns a function for Submit and MapSlice that calls f, and then g with the result of f. Its
// name is that of f, a dot and that of g. f and g may be chains too, so Chain(Chain(f, g), h) has three
// functions. Chain costs no round trip and makes nothing in Redis.
//
// Workers run the functions of a chain like stages, each with the options of the Submit: a worker that
// has two consecutive ones calls them one after the other, unless there are Retries; otherwise a queue
// is between them. So the functions may be in different workers. The first failure is the error of the
// future, and the functions behind it are not called for that value. An Executor makes the stages of a
// chain at its first call, and deletes them after a minute without one.
//
// A mistake in f or g is the error of Err of the chain, and so is ErrTypeMismatch if f encodes its
// results in another way than g takes its inputs. Workers run the functions and not the chain, so
// workers.New, Register and Map refuse it.
func Chain[A, B, C any](f workers.Func[A, B], g workers.Func[B, C]) workers.Func[A, C] {
	return workers.Func[A, C](runner.Compose(runner.Func[A, B](f), runner.Func[B, C](g)))
}

// errChain returns an error if a function is a chain.
func errChain(f *runner.Function) error {
	if f.Links == nil {
		return nil
	}
	return fmt.Errorf("function %q is a chain, for Submit and MapSlice: use each of its functions", f.Name)
}

// A chainLink is a function of a submission: the only one, or one of a chain.
type chainLink struct {
	name string
	signature
}

// chainLinks returns the functions that a handle stands for. in and out are its types.
func chainLinks(f *runner.Function, in, out codec.Info) (links []chainLink) {
	for _, each := range f.Chained() {
		links = append(links, chainLink{each.Name, signature{in: each.In, out: each.Out}})
	}
	links[0].in, links[len(links)-1].out = in, out
	return links
}

// findLinks compares the functions of a submission with those of the live workers, and takes the types
// of encoded items from there. held has, for each, whether a worker fits.
func (p *partition) findLinks(ctx context.Context, links []chainLink, tags []string) (found []chainLink, held []bool, err error) {
	for i, l := range links {
		if err := p.ex.registered(l.name); err != nil {
			return nil, nil, fmt.Errorf("submit: %w", err)
		}
		types, has, err := p.types(ctx, l.name, tags, l.signature)
		if err != nil {
			return nil, nil, err
		}
		if i > 0 && !fits(found[i-1].out, types.in) {
			return nil, nil, fmt.Errorf("submit: %w: %q returns %v, and %q takes %v", ErrTypeMismatch, found[i-1].name, found[i-1].out, l.name, types.in)
		}
		found, held = append(found, chainLink{l.name, types}), append(held, has)
	}
	return found, held, nil
}

// makeStages makes the stages of a submission, the first of which reads root. It returns the queues
// that they read, root first.
func (p *partition) makeStages(ctx context.Context, root broker.Queue, links []chainLink, o stageOptions) (queues []broker.Queue, err error) {
	queues = []broker.Queue{root}
	var limits *broker.Limits
	if o.limits != (broker.Limits{}) {
		limits = &o.limits
	}
	for i, l := range links[1:] {
		name := uniqueName(l.name)
		q, _, err := p.declare(ctx, broker.Queue{Name: name, Owner: p.ex.id, From: []string{root.Name}, Seal: true, Flow: root.Name}, links[i].out)
		if err != nil {
			return queues, err
		}
		queues = append(queues, q)
	}
	for i, l := range links {
		s := broker.Stage{
			ID: queues[i].Name, Kind: broker.KindFuture, Function: l.name, Ins: queues[i : i+1], Outs: []broker.Out{},
			InCodec: l.in.Codec, InType: l.in.Type, OutCodec: l.out.Codec, OutType: l.out.Type,
			Timeout: o.timeout, Retries: o.retries, Backoff: o.backoff, MaxBackoff: o.longest, Tags: o.tagList(), Reply: p.ex.id, Limits: limits,
		}
		if i+1 < len(links) {
			s.ID, s.Kind, s.Outs = queues[i+1].Name, broker.KindMap, []broker.Out{{Queue: queues[i+1]}}
		} else {
			s.TTL = resultTTL
		}
		if s.TTL > 0 && i > 0 { // the stage before it has the name of the queue
			s.ID += ".future"
		}
		if err := p.c.Stage(ctx, s); err != nil {
			return queues, err
		}
	}
	return queues, nil
}
