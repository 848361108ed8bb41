package executor

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Functions lists the functions of the live workers, sorted by name. It costs a few round trips.
// ErrClosed: the Executor was closed.
func (ex *Executor) Functions(ctx context.Context) ([]inspect.Function, error) {
	if err := ex.check("functions"); err != nil {
		return nil, err
	}
	return ex.inspector.Functions(ctx)
}

// Functions lists what Executor.Functions does.
func (i inspector) Functions(ctx context.Context) (found []inspect.Function, err error) {
	ctx, end, err := i.tasks.begin(ctx, "functions")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	live, err := i.parts[0].Processes(ctx, broker.RoleWorker, i.recent)
	if err != nil {
		return nil, err
	}
	return functionsOf(live), nil
}

// functionsOf returns the functions of workers.
func functionsOf(live []broker.Process) []inspect.Function {
	count := map[broker.FunctionCard]int{}
	for _, p := range live {
		for _, card := range cards(p) {
			count[card]++
		}
	}
	found := []inspect.Function{}
	for card, n := range count {
		found = append(found, inspect.Function{
			Name: card.Name, In: card.In, InCodec: card.InCodec, Out: card.Out, OutCodec: card.OutCodec, Version: card.Version, Filter: card.Filter, FlatMap: card.FlatMap,
			Workers: n,
		})
	}
	slices.SortFunc(found, func(a, b inspect.Function) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.In, b.In), cmp.Compare(a.Out, b.Out), cmp.Compare(a.Version, b.Version))
	})
	return found
}

// Workers lists the live workers, sorted by host and process. It costs a few round trips.
// ErrClosed: the Executor was closed.
func (ex *Executor) Workers(ctx context.Context) ([]inspect.Worker, error) {
	if err := ex.check("workers"); err != nil {
		return nil, err
	}
	return ex.inspector.Workers(ctx)
}

// Workers lists what Executor.Workers does.
func (i inspector) Workers(ctx context.Context) (found []inspect.Worker, err error) {
	ctx, end, err := i.tasks.begin(ctx, "workers")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	live, err := i.parts[0].Processes(ctx, broker.RoleWorker, i.recent)
	if err != nil {
		return nil, err
	}
	found = []inspect.Worker{}
	for _, p := range live {
		found = append(found, workerInfo(p, inspect.Live))
	}
	sortWorkers(found)
	return found, nil
}

func sortWorkers(all []inspect.Worker) {
	slices.SortFunc(all, func(a, b inspect.Worker) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.PID, b.PID), cmp.Compare(a.ID, b.ID))
	})
}

func workerInfo(p broker.Process, state string) inspect.Worker {
	w := inspect.Worker{
		ID: p.ID, Host: p.Card["host"], PID: int(number(p.Card["pid"])), State: state, Draining: p.Draining(), Concurrency: int(number(p.Card["concurrency"])),
		Stuck: int(number(p.Card["stuck"])), Functions: []string{}, Tags: append([]string{}, splitTags(p.Card["tags"])...), Running: []inspect.Call{}, Done: number(p.Card["done"]), Failed: number(p.Card["failed"]),
		Seen: time.UnixMilli(number(p.Card["seen"])), Version: p.Card["version"], Busy: time.Duration(number(p.Card["busy"])) * time.Millisecond,
	}
	w.Lease, w.Muted = time.Duration(number(p.Card["lease"]))*time.Millisecond, p.Card["muted"] != ""
	if started := number(p.Card["started"]); started > 0 {
		w.Started = time.UnixMilli(started)
	}
	for _, c := range p.Running() {
		w.Running = append(w.Running, inspect.Call{
			Stage: c.Stage, Function: c.Function, Queue: c.Queue, Source: c.Source, Offset: c.Offset, Items: c.Items, Attempt: c.Attempt, Since: c.Since,
		})
	}
	for _, card := range cards(p) {
		w.Functions = append(w.Functions, card.Name)
	}
	return w
}

// number reads a field of a card; text that is no number is 0.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
