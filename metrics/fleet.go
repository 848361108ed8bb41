package metrics

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// staleAfter is the age from which on the last read of a namespace is not exported any more. A read
// is at most ten seconds old as long as Redis answers.
const staleAfter = 30 * time.Second

// A Fleet has the metrics of a namespace. It is a collector of Prometheus: register it. Its methods
// are safe for concurrent use.
type Fleet struct {
	watcher  *watch.Watcher
	owned    bool // Close ends the watcher
	families fleetFamilies

	mu             sync.Mutex // never held across I/O
	stages, queues *groups
}

var (
	errNoInspector = errors.New("metrics: the Inspector is nil: make one with executor.NewInspector")
	errNoWatcher   = errors.New("metrics: the watcher is nil")
	errNoContext   = errors.New("metrics: the context is nil")
)

// NewFleet returns the metrics of a namespace. It reads the namespace by the Inspector every ten
// seconds, in a goroutine, until Close is called or ctx ends. Messages about failed reads go to log;
// nil discards them. The caller closes the Inspector after the Fleet.
func NewFleet(ctx context.Context, inspector executor.Inspector, log *slog.Logger, opts ...Option) (*Fleet, error) {
	o, err := optionsOf(opts)
	switch {
	case err != nil:
		return nil, err
	case ctx == nil:
		return nil, errNoContext
	case inspector == nil:
		return nil, errNoInspector
	case log == nil:
		log = slog.New(slog.DiscardHandler)
	}
	f := newFleet(watch.Start(ctx, inspector, log), o)
	f.owned = true
	return f, nil
}

// FleetOf returns the metrics of the namespace that a watcher reads. It is for the commands of
// dqbridge.
func FleetOf(w *watch.Watcher, opts ...Option) (*Fleet, error) {
	o, err := optionsOf(opts)
	if w == nil {
		err = errors.Join(err, errNoWatcher)
	}
	if err != nil {
		return nil, err
	}
	return newFleet(w, o), nil
}

func newFleet(w *watch.Watcher, o options) *Fleet {
	return &Fleet{watcher: w, families: newFleetFamilies(), stages: newGroups(o.series), queues: newGroups(o.series)}
}

// Close ends the reads and waits for the current one.
func (f *Fleet) Close() {
	if f != nil && f.owned {
		f.watcher.Close()
	}
}

// Describe sends the descriptions of the metrics.
func (f *Fleet) Describe(to chan<- *prometheus.Desc) {
	if f.made() {
		describe(to, f.families.all())
	}
}

// made reports whether NewFleet or FleetOf has made the Fleet.
func (f *Fleet) made() bool { return f != nil && f.watcher != nil }

// Collect sends the metrics of the last read of the namespace. It sends no command to Redis. If the
// last successful read is older than half a minute, it sends only the state of Redis.
func (f *Fleet) Collect(to chan<- prometheus.Metric) {
	if !f.made() {
		return
	}
	view, _ := f.watcher.Latest()
	f.families.info.send(to, 1, connection.Version(), runtime.Version())
	f.families.up.send(to, truth(view.Err == nil && !view.At.IsZero()).value())
	if view.At.IsZero() {
		return
	}
	age := time.Since(view.At)
	f.families.age.send(to, age.Seconds())
	if age > staleAfter {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.collectStages(to, view.Snapshot)
	f.collectQueues(to, view.Snapshot, view.Flows())
	f.families.sendProcesses(to, view.Snapshot)
	if view.ServerErr == nil {
		f.families.sendServer(to, view.Server)
	}
}

// collectStages sends the metrics of stages. The caller holds the mutex.
func (f *Fleet) collectStages(to chan<- prometheus.Metric, s inspect.Snapshot) {
	members, longest, unread := stageMembers(s.Stages), map[string]time.Duration{}, map[string]int64{}
	for _, w := range s.Workers {
		for _, call := range w.Running {
			longest[call.Stage] = max(longest[call.Stage], s.At.Sub(call.Since))
		}
	}
	for _, q := range s.Queues {
		unread[q.Name] = q.Unread()
	}
	for _, series := range f.stages.update(members) {
		f.families.stages.send(to, series)
		f.families.stages.sendLongest(to, series, members, longest)
		f.families.sendStates(to, series, s.Stages, unread)
	}
}

// stageMembers returns the stages of a namespace.
func stageMembers(stages []inspect.Stage) []member {
	members := make([]member, 0, len(stages))
	for i := range stages {
		s := &stages[i]
		n := make(counts, stageCounts)
		n[doneCount], n[failedCount], n[lostCount], n[retriedCount] = s.Done, s.Failed, s.Lost, s.Retried
		n[batchesCount], n[spentCount], n[busyCount], n[fullCount] = s.Batches, int64(s.Spent), int64(s.Busy), int64(s.Full)
		copy(n[timeCounts:], bucketsOf(upperBounds(s.Times)))
		if s.Wait != nil {
			n[waitedCount] = int64(s.Wait.Sum)
			copy(n[waitCounts:], bucketsOf(upperBounds(s.Wait.Times)))
		}
		members = append(members, member{s.ID, stageLabels(s.ID, s.Function), s.RecentDone, n})
	}
	return members
}
