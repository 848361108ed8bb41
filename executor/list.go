package executor

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// FunctionInfo describes a function that live workers have, in one version and with one pair of
// types.
type FunctionInfo struct {
	Name     string `json:"name"`
	In       string `json:"in"` // the type of its input, for example "int"
	InCodec  string `json:"in_codec"`
	Out      string `json:"out"`
	OutCodec string `json:"out_codec"`
	Version  string `json:"version,omitempty"` // as given to workers.Version; a hash for a command
	Workers  int    `json:"workers"`           // live workers that have it
}

// Functions lists the functions of the live workers, sorted by name. It costs a few round trips.
// ErrClosed: the Executor was closed.
func (ex *Executor) Functions(ctx context.Context) ([]FunctionInfo, error) {
	if err := ex.check("functions"); err != nil {
		return nil, err
	}
	return ex.inspector.Functions(ctx)
}

// Functions lists what Executor.Functions does.
func (i inspector) Functions(ctx context.Context) (found []FunctionInfo, err error) {
	ctx, end, err := i.tasks.begin(ctx, "functions")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	live, err := i.parts[0].Processes(ctx, broker.RoleWorker, i.recent)
	if err != nil {
		return nil, err
	}
	count := map[broker.FunctionCard]int{}
	for _, p := range live {
		for _, card := range cards(p) {
			count[card]++
		}
	}
	found = []FunctionInfo{}
	for card, n := range count {
		found = append(found, FunctionInfo{card.Name, card.In, card.InCodec, card.Out, card.OutCodec, card.Version, n})
	}
	slices.SortFunc(found, func(a, b FunctionInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.In, b.In), cmp.Compare(a.Out, b.Out), cmp.Compare(a.Version, b.Version))
	})
	return found, nil
}

// WorkerInfo describes a worker.
type WorkerInfo struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	PID  int    `json:"pid"`
	// State is "live", "late" if a heartbeat is overdue, or "silent" if none came for a lease and no
	// process has declared the worker dead, as after the death of all processes.
	State       string    `json:"state"`
	Concurrency int       `json:"concurrency"` // number of slots
	Stuck       int       `json:"stuck"`       // calls left behind, whose functions did not return after their timeout
	Functions   []string  `json:"functions"`
	Done        int64     `json:"done"`   // items so far, with the failed ones
	Failed      int64     `json:"failed"` // items so far that failed
	Seen        time.Time `json:"seen"`   // its last heartbeat, by the clock of Redis
	// Running are the calls that had run for more than a second at the last heartbeat, those that run
	// longest first.
	Running []RunningCall `json:"running"`

	cards []broker.FunctionCard
}

// A RunningCall is a call that a slot of a worker runs.
type RunningCall struct {
	Stage    string    `json:"stage"` // its id
	Function string    `json:"function"`
	Queue    string    `json:"queue"` // that the stage reads
	Source   string    `json:"source"`
	Offset   int64     `json:"offset"`  // of the item in the source
	Items    int       `json:"items"`   // that the call may be at, from Offset on: those of a batch function
	Attempt  int       `json:"attempt"` // from 1
	Since    time.Time `json:"since"`   // by the clock of Redis
}

// Workers lists the live workers, sorted by host and process. It costs a few round trips.
// ErrClosed: the Executor was closed.
func (ex *Executor) Workers(ctx context.Context) ([]WorkerInfo, error) {
	if err := ex.check("workers"); err != nil {
		return nil, err
	}
	return ex.inspector.Workers(ctx)
}

// Workers lists what Executor.Workers does.
func (i inspector) Workers(ctx context.Context) (found []WorkerInfo, err error) {
	ctx, end, err := i.tasks.begin(ctx, "workers")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	live, err := i.parts[0].Processes(ctx, broker.RoleWorker, i.recent)
	if err != nil {
		return nil, err
	}
	found = []WorkerInfo{}
	for _, p := range live {
		found = append(found, workerInfo(p, processLive))
	}
	sortWorkers(found)
	return found, nil
}

func sortWorkers(all []WorkerInfo) {
	slices.SortFunc(all, func(a, b WorkerInfo) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.PID, b.PID), cmp.Compare(a.ID, b.ID))
	})
}

func workerInfo(p broker.Process, state string) WorkerInfo {
	w := WorkerInfo{
		ID: p.ID, Host: p.Card["host"], PID: int(number(p.Card["pid"])), State: state, Concurrency: int(number(p.Card["concurrency"])),
		Stuck: int(number(p.Card["stuck"])), Functions: []string{}, Running: []RunningCall{}, Done: number(p.Card["done"]), Failed: number(p.Card["failed"]),
		Seen: time.UnixMilli(number(p.Card["seen"])), cards: cards(p),
	}
	for _, c := range p.Running() {
		w.Running = append(w.Running, RunningCall{c.Stage, c.Function, c.Queue, c.Source, c.Offset, c.Items, c.Attempt, c.Since})
	}
	for _, card := range w.cards {
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
