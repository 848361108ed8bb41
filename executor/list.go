package executor

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// An inspector reads the registries of a namespace, for an Executor or an Inspector.
type inspector struct {
	parts  []*broker.Client // the partitions; workers join each
	recent time.Duration    // a process whose last heartbeat is older is dead
	tasks  *lifecycle       // the calls of the owner
}

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

// WorkerInfo describes a live worker.
type WorkerInfo struct {
	ID          string    `json:"id"`
	Host        string    `json:"host"`
	PID         int       `json:"pid"`
	Concurrency int       `json:"concurrency"` // number of slots
	Stuck       int       `json:"stuck"`       // calls left behind, whose functions did not return after their timeout
	Functions   []string  `json:"functions"`
	Done        int64     `json:"done"`   // items so far, with the failed ones
	Failed      int64     `json:"failed"` // items so far that failed
	Seen        time.Time `json:"seen"`   // its last heartbeat, by the clock of Redis
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
		w := WorkerInfo{ID: p.ID, Host: p.Card["host"], Functions: []string{}, Seen: time.UnixMilli(number(p.Card["seen"]))}
		w.PID, w.Concurrency = int(number(p.Card["pid"])), int(number(p.Card["concurrency"]))
		w.Stuck = int(number(p.Card["stuck"]))
		w.Done, w.Failed = number(p.Card["done"]), number(p.Card["failed"])
		for _, card := range cards(p) {
			w.Functions = append(w.Functions, card.Name)
		}
		found = append(found, w)
	}
	slices.SortFunc(found, func(a, b WorkerInfo) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.PID, b.PID), cmp.Compare(a.ID, b.ID))
	})
	return found, nil
}

// number reads a field of a card; text that is no number is 0.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// QueueInfo describes a queue.
type QueueInfo struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Codec    string   `json:"codec"`
	Waiting  int64    `json:"waiting"`  // items that no worker has read yet
	Running  int64    `json:"running"`  // batches that workers have read and not finished
	Delayed  int64    `json:"delayed"`  // batches that wait for another attempt
	Bytes    int64    `json:"bytes"`    // of the waiting items
	Added    int64    `json:"added"`    // items so far
	Fused    int64    `json:"fused"`    // items that did not go through the queue, see NoFuse
	Max      int64    `json:"max"`      // items that may wait, 0 for no bound
	MaxBytes int64    `json:"maxbytes"` // encoded bytes that may wait
	Dropped  int64    `json:"dropped"`  // items that overflow policies have dropped so far
	Sealed   bool     `json:"sealed"`   // no further source can join
	Consumer string   `json:"consumer"` // its stage or gather
	From     []string `json:"from"`     // the queues that its items were scattered into
	Owner    string   `json:"owner"`    // id of the Executor that it goes with, "" for a named queue
	// Partition is the number of the partition that has the queue, 0 if there is only one.
	Partition int `json:"partition"`
}

// Queues lists all queues of the namespace, sorted by name. It costs two round trips for each
// queue. ErrClosed: the Executor was closed.
func (ex *Executor) Queues(ctx context.Context) ([]QueueInfo, error) {
	if err := ex.check("queues"); err != nil {
		return nil, err
	}
	return ex.inspector.Queues(ctx)
}

// Queues lists what Executor.Queues does.
func (i inspector) Queues(ctx context.Context) (found []QueueInfo, err error) {
	ctx, end, err := i.tasks.begin(ctx, "queues")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	found = []QueueInfo{}
	for _, part := range i.parts {
		names, err := part.Queues(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			info, err := queueInfo(ctx, part, name)
			if err == nil {
				found = append(found, info)
			} else if !errors.Is(err, ErrQueueNotFound) { // it may be deleted meanwhile
				return nil, err
			}
		}
	}
	slices.SortFunc(found, func(a, b QueueInfo) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

func queueInfo(ctx context.Context, part *broker.Client, name string) (QueueInfo, error) {
	q, err := part.Look(ctx, name)
	if err != nil {
		return QueueInfo{}, err
	}
	backlog, err := part.Waiting(ctx, name)
	return QueueInfo{
		Name: name, Type: q.Type, Codec: q.Codec, Max: q.Max, Sealed: q.Seal, Consumer: q.Consumer, Partition: part.Index(),
		From: append([]string{}, q.From...), Owner: q.Owner, MaxBytes: q.MaxBytes, Dropped: q.Dropped,
		Waiting: backlog.Items, Bytes: backlog.Bytes, Added: q.Items, Fused: q.Fused, Running: backlog.Running, Delayed: backlog.Delayed,
	}, err
}

// StageInfo describes a stage.
type StageInfo struct {
	ID       string        `json:"id"`
	Kind     string        `json:"kind"` // "map", "copy" or "future"
	Function string        `json:"function"`
	In       []string      `json:"in"`
	Out      []string      `json:"out"`
	Cost     time.Duration `json:"cost_ns"` // of an item at the dearest stage from this one on, 0 if unknown
	Workers  int           `json:"workers"` // live workers that have the function
}

// Stages lists all stages of the namespace, those of a partition in the order in which they were
// made. It costs a few round trips, and one for each input queue of a stage. ErrClosed: the
// Executor was closed.
func (ex *Executor) Stages(ctx context.Context) ([]StageInfo, error) {
	if err := ex.check("stages"); err != nil {
		return nil, err
	}
	return ex.inspector.Stages(ctx)
}

// Stages lists what Executor.Stages does.
func (i inspector) Stages(ctx context.Context) (found []StageInfo, err error) {
	ctx, end, err := i.tasks.begin(ctx, "stages")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	live, err := i.parts[0].Processes(ctx, broker.RoleWorker, i.recent)
	if err != nil {
		return nil, err
	}
	holders := map[string]int{"": len(live)} // a copy needs no function
	for _, p := range live {
		names := map[string]bool{}
		for _, card := range cards(p) {
			names[card.Name] = true
		}
		for name := range maps.Keys(names) {
			holders[name]++
		}
	}
	found = []StageInfo{}
	for _, part := range i.parts {
		stages, err := part.Stages(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range stages {
			found = append(found, stageInfo(ctx, part, s, holders[s.Function]))
		}
	}
	return found, nil
}

func stageInfo(ctx context.Context, part *broker.Client, s broker.Stage, workers int) StageInfo {
	info := StageInfo{ID: s.ID, Kind: s.Kind, Function: s.Function, In: []string{}, Out: []string{}, Workers: workers}
	for _, in := range s.Ins {
		info.In = append(info.In, in.Name)
		if q, err := part.Look(ctx, in.Name); err == nil {
			info.Cost = q.Cost
		}
	}
	for _, out := range s.Outs {
		info.Out = append(info.Out, out.Name)
	}
	return info
}

// Delete deletes a queue with its items, its sources, and the stages that read it or add to it.
// Functions that run for these stages are canceled. Delete costs a few round trips, and Redis some
// time for each item that waits. ErrQueueNotFound: there is no queue of that name. Queue.Delete
// deletes a flow of queues without names.
func (ex *Executor) Delete(ctx context.Context, queue string) (err error) {
	ctx, end, err := ex.begin(ctx, "delete")
	if err != nil {
		return err
	}
	defer end(&err)
	for _, part := range ex.parts {
		if err = part.DeleteFor(ctx, ex.id, queue); !errors.Is(err, ErrQueueNotFound) {
			break
		}
	}
	if err == nil {
		for _, p := range append(ex.others.all(), ex.home) {
			p.flows.forget(queue)
		}
	}
	return err
}
