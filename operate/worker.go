package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A Holder is a function of a worker, with the number of other workers that have it and take items.
type Holder struct {
	Function string
	Others   int
}

// Holders returns the functions of a worker, sorted by name, and how many other workers have each.
// ErrWorkerNotFound: no worker has that id.
func (o *Operator) Holders(ctx context.Context, worker string) (holders []Holder, err error) {
	ctx, end, err := o.begin(ctx, "holders")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	return o.holders(ctx, worker)
}

func (o *Operator) holders(ctx context.Context, worker string) (holders []Holder, err error) {
	survey, err := o.partitions()[0].Survey(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(survey.Workers, func(m broker.Member) bool { return m.ID == worker })
	if at < 0 {
		return nil, fmt.Errorf("worker %q: %w (dqbridge workers)", worker, ErrWorkerNotFound)
	}
	others := map[string]int{}
	for i, m := range survey.Workers {
		if i == at || m.Draining() {
			continue
		}
		for _, name := range functionsOf(m.Process) {
			others[name]++
		}
	}
	for _, name := range functionsOf(survey.Workers[at].Process) {
		holders = append(holders, Holder{name, others[name]})
	}
	return holders, nil
}

// functionsOf returns the names of the functions of a worker, sorted.
func functionsOf(w broker.Process) (names []string) {
	var cards []broker.FunctionCard
	if json.Unmarshal([]byte(w.Card["functions"]), &cards) != nil {
		return nil
	}
	for _, card := range cards {
		names = append(names, card.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Drain lets a worker finish the items that it has and take no more, until Undrain or its end. Its
// process goes on. worker is its id. Drain returns when the worker has said that it drains: that
// takes about a heartbeat, 2 s at the default lease. Errors: ErrWorkerNotFound, ErrNoAnswer, and
// ErrLastHolder if no other worker has one of its functions: see DrainLast.
func (o *Operator) Drain(ctx context.Context, worker string, act Act) (err error) {
	ctx, end, err := o.begin(ctx, "drain")
	if err != nil {
		return err
	}
	defer end(&err)
	holders, err := o.holders(ctx, worker)
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	var last []string
	for _, h := range holders {
		if h.Others == 0 {
			last = append(last, h.Function)
		}
	}
	if last != nil {
		return fmt.Errorf("drain worker %s: %w: %s", worker, ErrLastHolder, strings.Join(last, ", "))
	}
	return o.setDraining(ctx, "drain", worker, act, broker.HintDrain)
}

// DrainLast is Drain, also if no other worker has a function of the worker. The items of that
// function wait then.
func (o *Operator) DrainLast(ctx context.Context, worker string, act Act) (err error) {
	return o.order(ctx, "drain", worker, act, broker.HintDrain)
}

// Undrain lets a worker that drains take items again. It returns when the worker has said so. Errors:
// ErrWorkerNotFound, ErrNoAnswer.
func (o *Operator) Undrain(ctx context.Context, worker string, act Act) (err error) {
	return o.order(ctx, "resume", worker, act, broker.HintWork)
}

// order is setDraining, as a call.
func (o *Operator) order(ctx context.Context, verb, worker string, act Act, hint string) (err error) {
	ctx, end, err := o.begin(ctx, verb)
	if err != nil {
		return err
	}
	defer end(&err)
	return o.setDraining(ctx, verb, worker, act, hint)
}

// setDraining sends a hint to a worker until it drains, or takes items again.
func (o *Operator) setDraining(ctx context.Context, verb, worker string, act Act, hint string) error {
	part := o.partitions()[0]
	if _, live, err := part.Worker(ctx, worker); err != nil || !live {
		if err == nil {
			err = fmt.Errorf("worker %q: %w", worker, ErrWorkerNotFound)
		}
		return fmt.Errorf("%s: %w", verb, err)
	}
	done, err := until(ctx, part, worker, broker.Hint{Kind: hint}, patience, func(w broker.Process) bool {
		return w.Draining() == (hint == broker.HintDrain)
	})
	if err == nil && !done {
		err = fmt.Errorf("%s worker %s: %w: it hangs or is of an earlier version: end its process with SIGTERM instead", verb, worker, ErrNoAnswer)
	}
	if err != nil {
		return err
	}
	return act.note(ctx, part, verb, "worker "+worker, 0)
}
