package executor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// An inspector reads the registries of a namespace, for an Executor or an Inspector.
type inspector struct {
	parts  []*broker.Client // the partitions; workers join each
	recent time.Duration    // a process whose last heartbeat is older is dead
	tasks  *lifecycle       // the calls of the owner
}

// A Snapshot is what a namespace has at one time: each partition as it was during a few round trips.
type Snapshot struct {
	At        time.Time     `json:"at"`     // by the clock of Redis
	Queues    []QueueInfo   `json:"queues"` // sorted by name
	Stages    []StageInfo   `json:"stages"` // those of a partition in the order in which they were made
	Sources   []SourceInfo  `json:"sources"`
	Workers   []WorkerInfo  `json:"workers"` // sorted by host and process, also those that are late or silent
	Executors []ProcessInfo `json:"executors"`
	Letters   int64         `json:"letters"` // number of dead letters
}

// ProcessInfo describes a process that scatters, gathers or makes stages.
type ProcessInfo struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	PID  int    `json:"pid"`
	// State is "live", "late" if a heartbeat is overdue, "silent" if none came for a lease and no
	// process has declared it dead, or "dead".
	State string    `json:"state"`
	Seen  time.Time `json:"seen,omitzero"` // its last heartbeat, by the clock of Redis; zero if it is dead
}

// The states of a process.
const (
	processLive   = "live"
	processLate   = "late"
	processSilent = "silent"
	processDead   = "dead"
)

// Snapshot reads queues, stages, sources and processes at once. It reads all partitions in parallel,
// and costs about six round trips for each thousand queues of a partition. It does not wait: if no
// process of the namespace is alive, the last ones are "silent". ErrClosed: the Executor was closed.
func (ex *Executor) Snapshot(ctx context.Context) (Snapshot, error) {
	if err := ex.check("snapshot"); err != nil {
		return Snapshot{}, err
	}
	return ex.inspector.Snapshot(ctx)
}

// Snapshot reads what Executor.Snapshot does.
func (i inspector) Snapshot(ctx context.Context) (Snapshot, error) {
	return i.snapshot(ctx, "snapshot", readSources)
}

// A reading says how much of a snapshot is read. Each one includes those before it.
type reading int

const (
	readQueues  reading = iota // with stages and processes
	readSources                // with the sources of the queues
)

// snapshot reads all partitions and joins what they have.
func (i inspector) snapshot(ctx context.Context, what string, most reading) (s Snapshot, err error) {
	ctx, end, err := i.tasks.begin(ctx, what)
	if err != nil {
		return Snapshot{}, err
	}
	defer end(&err)
	found := make([]Snapshot, len(i.parts))
	group, ctx := errgroup.WithContext(ctx)
	for n, part := range i.parts {
		group.Go(func() (err error) {
			found[n], err = i.partition(ctx, part, most)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Snapshot{}, err
	}
	s = Snapshot{At: found[0].At, Queues: []QueueInfo{}, Stages: []StageInfo{}, Sources: []SourceInfo{}, Workers: found[0].Workers}
	executors := map[string]ProcessInfo{}
	for _, f := range found {
		s.Queues, s.Stages, s.Sources = append(s.Queues, f.Queues...), append(s.Stages, f.Stages...), append(s.Sources, f.Sources...)
		s.Letters += f.Letters
		for _, p := range f.Executors {
			executors[p.ID] = p
		}
	}
	s.Executors = make([]ProcessInfo, 0, len(executors))
	for _, p := range executors {
		s.Executors = append(s.Executors, p)
	}
	slices.SortFunc(s.Executors, func(a, b ProcessInfo) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.PID, b.PID), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(s.Queues, func(a, b QueueInfo) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(s.Sources, func(a, b SourceInfo) int { return cmp.Compare(a.Queue, b.Queue) })
	return s, nil
}

// partition reads one partition.
func (i inspector) partition(ctx context.Context, part *broker.Client, most reading) (s Snapshot, err error) {
	survey, err := part.Survey(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	s.At, s.Letters = survey.Now, survey.Letters
	processes := map[string]ProcessInfo{}
	for _, m := range survey.Executors {
		p := ProcessInfo{m.ID, m.Card["host"], int(number(m.Card["pid"])), i.life(survey.Now, m), m.Beat}
		processes[m.ID] = p
		s.Executors = append(s.Executors, p)
	}
	for _, d := range survey.Dead {
		processes[d.ID] = ProcessInfo{ID: d.ID, Host: d.Card["host"], PID: int(number(d.Card["pid"])), State: processDead}
	}
	s.Workers = make([]WorkerInfo, 0, len(survey.Workers))
	for _, m := range survey.Workers {
		s.Workers = append(s.Workers, workerInfo(m.Process, i.life(survey.Now, m)))
	}
	sortWorkers(s.Workers)
	contents, err := part.Contents(ctx, survey.Queues)
	if err != nil {
		return Snapshot{}, err
	}
	var fed []string
	for _, q := range contents {
		s.Queues = append(s.Queues, queueInfo(part, q, processes))
		if q.Sources > 0 {
			fed = append(fed, q.Queue.Name)
		}
	}
	inherit(s.Queues)
	ids := make([]string, 0, len(survey.Stages))
	for _, stage := range survey.Stages {
		ids = append(ids, stage.ID)
	}
	work, err := part.RecentReports(ctx, ids, survey.Now)
	if err != nil {
		return Snapshot{}, err
	}
	for n, stage := range survey.Stages {
		s.Stages = append(s.Stages, stageInfo(part, stage, work[n], survey.Now, s.Workers))
	}
	if most < readSources {
		return s, nil
	}
	sources, err := part.Sources(ctx, fed)
	for _, source := range sources {
		s.Sources = append(s.Sources, sourceInfo(part, source, processes))
	}
	return s, err
}

// life returns the state of a registered process.
func (i inspector) life(now time.Time, m broker.Member) string {
	switch age := now.Sub(m.Beat); {
	case age > i.recent:
		return processSilent
	case age > i.recent/broker.Beats+i.recent/50:
		return processLate
	}
	return processLive
}

// processOf returns the process of an id. One that is not registered was declared dead, or has left.
func processOf(processes map[string]ProcessInfo, id string) ProcessInfo {
	if p, ok := processes[id]; ok {
		return p
	}
	return ProcessInfo{ID: id, State: processDead}
}
