package executor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// An inspector reads the registries of a namespace, for an Executor or an Inspector.
type inspector struct {
	parts  []*broker.Client // the partitions; workers join each
	recent time.Duration    // a process whose last heartbeat is older is dead
	tasks  *lifecycle       // the calls of the owner
}

// Snapshot reads queues, stages, sources and processes at once. It reads all partitions in parallel,
// and costs about six round trips for each thousand queues of a partition. It does not wait: if no
// process of the namespace is alive, the last ones are "silent". ErrClosed: the Executor was closed.
func (ex *Executor) Snapshot(ctx context.Context) (inspect.Snapshot, error) {
	if err := ex.check("snapshot"); err != nil {
		return inspect.Snapshot{}, err
	}
	return ex.inspector.Snapshot(ctx)
}

// Snapshot reads what Executor.Snapshot does.
func (i inspector) Snapshot(ctx context.Context) (inspect.Snapshot, error) {
	return i.snapshot(ctx, "snapshot", reading{queues: true, stages: true, sources: true})
}

// A reading says which parts of a snapshot are read beside the processes.
type reading struct {
	queues, stages bool
	sources        bool // needs queues
}

// snapshot reads all partitions and joins them.
func (i inspector) snapshot(ctx context.Context, what string, parts reading) (s inspect.Snapshot, err error) {
	ctx, end, err := i.tasks.begin(ctx, what)
	if err != nil {
		return inspect.Snapshot{}, err
	}
	defer end(&err)
	found := make([]inspect.Snapshot, len(i.parts))
	group, ctx := errgroup.WithContext(ctx)
	for n, part := range i.parts {
		group.Go(func() (err error) {
			found[n], err = i.partition(ctx, part, parts)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return inspect.Snapshot{}, err
	}
	s = inspect.Snapshot{
		At: found[0].At, Ahead: found[0].Ahead, Queues: []inspect.Queue{}, Stages: []inspect.Stage{}, Sources: []inspect.Source{}, Gathers: []inspect.Gather{}, Workers: found[0].Workers,
		Functions: found[0].Functions,
	}
	executors := map[string]inspect.Process{}
	for n, f := range found {
		if n > 0 {
			addRunning(s.Workers, f.Workers)
		}
		s.Queues, s.Stages, s.Sources = append(s.Queues, f.Queues...), append(s.Stages, f.Stages...), append(s.Sources, f.Sources...)
		s.Gathers = append(s.Gathers, f.Gathers...)
		s.Letters += f.Letters
		s.WorkerDeaths, s.AtQueues = max(s.WorkerDeaths, f.WorkerDeaths), max(s.AtQueues, f.AtQueues)
		s.Overdue = max(s.Overdue, f.Overdue)
		for _, p := range f.Executors {
			executors[p.ID] = p
		}
	}
	s.Executors = make([]inspect.Process, 0, len(executors))
	for _, p := range executors {
		s.Executors = append(s.Executors, p)
	}
	slices.SortFunc(s.Executors, func(a, b inspect.Process) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.PID, b.PID), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(s.Queues, func(a, b inspect.Queue) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Gathers, func(a, b inspect.Gather) int { return cmp.Compare(a.Queue, b.Queue) })
	slices.SortStableFunc(s.Sources, func(a, b inspect.Source) int { return cmp.Compare(a.Queue, b.Queue) })
	return s, nil
}

// partition reads one partition.
func (i inspector) partition(ctx context.Context, part *broker.Client, parts reading) (s inspect.Snapshot, err error) {
	survey, err := part.Survey(ctx)
	if err != nil {
		return inspect.Snapshot{}, err
	}
	s.At, s.Letters, s.WorkerDeaths, s.AtQueues = survey.Now, survey.Letters, survey.Deaths, survey.AtQueues
	s.Overdue, s.Ahead = survey.Overdue, survey.Ahead
	processes := i.processes(survey, &s)
	reports := reportsOf(survey)
	s.Workers = make([]inspect.Worker, 0, len(survey.Workers))
	holders, live := fleet{}, []broker.Process{}
	for _, m := range survey.Workers {
		w := workerInfo(m.Process, i.life(survey.Now, m))
		w.Mailbox = m.Mailbox
		s.Workers = append(s.Workers, w)
		holders.add(w, cards(m.Process))
		if w.State != inspect.Silent {
			live = append(live, m.Process)
		}
	}
	s.Functions = functionsOf(live)
	sortWorkers(s.Workers)
	if parts.stages {
		if err := readStages(ctx, part, survey, holders, &s); err != nil {
			return inspect.Snapshot{}, err
		}
	}
	if !parts.queues {
		return s, nil
	}
	contents, err := part.Contents(ctx, survey.Queues)
	if err != nil {
		return inspect.Snapshot{}, err
	}
	var fed []string
	for _, q := range contents {
		info := queueInfo(part, q, processes)
		s.Queues = append(s.Queues, info)
		if info.Gather != nil {
			s.Gathers = append(s.Gathers, reports.gather(info))
		}
		if q.Sources > 0 {
			fed = append(fed, q.Queue.Name)
		}
	}
	inherit(s.Queues)
	if !parts.sources {
		return s, nil
	}
	sources, err := part.Sources(ctx, fed)
	for _, source := range sources {
		info := sourceInfo(part, source, processes)
		reports.describe(&info)
		s.Sources = append(s.Sources, info)
	}
	return s, err
}

// processes puts the executors into a snapshot. It returns them, and the dead ones, by id.
func (i inspector) processes(survey broker.Survey, s *inspect.Snapshot) map[string]inspect.Process {
	all := make(map[string]inspect.Process, len(survey.Executors)+len(survey.Dead))
	for _, d := range survey.Dead {
		all[d.ID] = processInfo(d, inspect.Dead)
	}
	for _, m := range survey.Executors {
		p := processInfo(m.Process, i.life(survey.Now, m))
		p.Seen = m.Beat
		all[m.ID] = p
		s.Executors = append(s.Executors, p)
	}
	return all
}

// readStages puts the stages of a partition into a snapshot.
func readStages(ctx context.Context, part *broker.Client, survey broker.Survey, holders fleet, s *inspect.Snapshot) error {
	ids := make([]string, 0, len(survey.Stages))
	for _, stage := range survey.Stages {
		ids = append(ids, stage.ID)
	}
	work, err := part.RecentReports(ctx, ids, survey.Now)
	if err != nil {
		return err
	}
	for n, stage := range survey.Stages {
		s.Stages = append(s.Stages, stageInfo(part, stage, work[n], survey.Now, holders))
	}
	return nil
}

func processInfo(p broker.Process, state string) inspect.Process {
	return inspect.Process{ID: p.ID, Host: p.Card["host"], PID: int(number(p.Card["pid"])), State: state, Lease: time.Duration(number(p.Card["lease"])) * time.Millisecond}
}

// addRunning adds the calls of the sessions in another partition to their workers. A worker has an id
// of its own in each partition; its counts are those of the process.
func addRunning(workers, others []inspect.Worker) {
	type process struct {
		host string
		pid  int
	}
	calls := map[process][]inspect.Call{}
	for _, other := range others {
		calls[process{other.Host, other.PID}] = other.Running
	}
	for i := range workers {
		w := &workers[i]
		w.Running = append(w.Running, calls[process{w.Host, w.PID}]...)
		slices.SortFunc(w.Running, func(a, b inspect.Call) int { return a.Since.Compare(b.Since) })
	}
}

// life returns the state of a registered process.
func (i inspector) life(now time.Time, m broker.Member) string {
	switch age := now.Sub(m.Beat); {
	case age > i.recent:
		return inspect.Silent
	case age > i.recent/broker.Beats+i.recent/50:
		return inspect.Late
	}
	return inspect.Live
}

// processOf returns the process of an id. One that is not registered was declared dead, or has left.
func processOf(processes map[string]inspect.Process, id string) inspect.Process {
	if p, ok := processes[id]; ok {
		return p
	}
	return inspect.Process{ID: id, State: inspect.Dead}
}
