package metrics

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/worker"
	"github.com/dqbridge/dqbridge/workers"
)

// A Worker has the metrics and the health of one worker. It is a collector of Prometheus: register
// it. Its methods are safe for concurrent use.
type Worker struct {
	engine   atomic.Pointer[worker.Worker]
	families workerFamilies

	mu     sync.Mutex // never held across I/O
	groups *groups
}

// workerFamilies are the metrics of a worker.
type workerFamilies struct {
	stages                            stageFamilies
	calls                             callFamilies
	ready, slots, abandoned, up, info family
}

func newWorkerFamilies() workerFamilies {
	return workerFamilies{
		stages:    newStageFamilies(),
		calls:     newCallFamilies(),
		ready:     newFamily(gaugeType, "worker_ready", "1 if the worker takes items: see the readiness of dqworker."),
		slots:     newFamily(gaugeType, "slots", "Calls that can run at once."),
		abandoned: newFamily(gaugeType, "abandoned_slots", "Calls that were left behind, since they did not return after their timeout."),
		up:        newFamily(gaugeType, "redis_up", "1 if Redis answers."),
		info:      newFamily(gaugeType, "build_info", "1, with the version of dqbridge and of Go.", "version", "goversion"),
	}
}

func (f workerFamilies) all() []family {
	return append(append(f.stages.all(), f.calls.all()...), f.ready, f.slots, f.abandoned, f.up, f.info)
}

// NewWorker returns metrics for a worker that is made with Option.
func NewWorker(opts ...Option) (*Worker, error) {
	o, err := optionsOf(opts)
	if err != nil {
		return nil, err
	}
	return &Worker{families: newWorkerFamilies(), groups: newGroups(o.series)}, nil
}

// made reports whether NewWorker has made the Worker.
func (w *Worker) made() bool { return w != nil && w.groups != nil }

// Option returns an option of workers.New. The metrics are those of the last worker that was made
// with it.
func (w *Worker) Option() workers.Option {
	return func(o *worker.Options) error {
		if !w.made() {
			return errNoWorker
		}
		o.Observe = append(o.Observe, w.observe)
		return nil
	}
}

// observe makes the metrics those of a worker.
func (w *Worker) observe(engine *worker.Worker) {
	engine.Client.MeasureCalls()
	w.engine.Store(engine)
}

var (
	errNoWorker = errors.New("metrics: the Worker is nil or a zero value: make it with metrics.NewWorker")
	errNotMade  = errors.New("no worker was made yet")
)

// Ready returns nil if the worker takes items: it has joined, Redis has answered within two
// heartbeats, and it does not drain. Otherwise the error says why it does not. Ready sends no command
// to Redis.
func (w *Worker) Ready() error {
	if !w.made() {
		return errNoWorker
	}
	engine := w.engine.Load()
	if engine == nil {
		return errNotMade
	}
	return engine.Health()
}

// Describe sends the descriptions of the metrics.
func (w *Worker) Describe(to chan<- *prometheus.Desc) {
	if w.made() {
		describe(to, w.families.all())
	}
}

// Collect sends the metrics. It sends no command to Redis.
func (w *Worker) Collect(to chan<- prometheus.Metric) {
	if !w.made() {
		return
	}
	f := w.families
	f.info.send(to, 1, connection.Version(), runtime.Version())
	engine := w.engine.Load()
	if engine == nil {
		return
	}
	f.ready.send(to, truth(engine.Health() == nil).value())
	f.slots.send(to, float64(engine.Concurrency))
	f.abandoned.send(to, float64(engine.LeftBehind()))
	f.up.send(to, truth(engine.Answered()).value())
	f.calls.send(to, engine.Client.Calls())
	longest := map[string]time.Duration{}
	for _, item := range engine.Running() {
		longest[item.Stage] = max(longest[item.Stage], time.Duration(item.For)*time.Millisecond)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	members := workMembers(engine.Totals())
	for _, s := range w.groups.update(members) {
		f.stages.send(to, s)
		f.stages.sendLongest(to, s, members, longest)
	}
}

// workMembers returns the stages of a worker.
func workMembers(work []broker.StageWork) []member {
	members := make([]member, 0, len(work))
	for i := range work {
		w := &work[i]
		n := make(counts, stageCounts)
		n[doneCount], n[failedCount], n[lostCount], n[retriedCount] = w.Counts.Items, w.Counts.Failed, w.Counts.Lost, w.Counts.Retried
		n[batchesCount], n[spentCount], n[busyCount], n[fullCount] = w.Counts.Batches, int64(w.Counts.Spent), int64(w.Counts.Busy), int64(w.Counts.Full)
		n[waitedCount] = int64(w.Waits.Sum())
		copy(n[timeCounts:], bucketsOf(w.Times.Buckets))
		copy(n[waitCounts:], bucketsOf(w.Waits.Buckets))
		members = append(members, member{w.Stage.ID, stageLabels(w.Stage.ID, w.Stage.Function), w.Counts.Items, n})
	}
	return members
}
