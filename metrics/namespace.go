package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dqbridge/dqbridge/inspect"
)

// fleetFamilies are the metrics of a namespace.
type fleetFamilies struct {
	stages                        stageFamilies
	stageWorkers, paused, stuck   family
	items, bytes, oldest, limit   family
	full, added, dropped          family
	workers, executors, slots     family
	letters, abandoned, up        family
	age, memory, maxMemory, conns family
	info                          family
}

func newFleetFamilies() fleetFamilies {
	return fleetFamilies{
		stages:       newStageFamilies(),
		stageWorkers: newFamily(gaugeType, "stage_workers", "Live workers that have the function of the stage, with its types.", "stage", "function"),
		paused:       newFamily(gaugeType, "stage_paused", "1 if no worker runs the stage, since the process that it goes with is dead.", "stage", "function"),
		stuck: newFamily(gaugeType, "stage_stuck", "1 if items wait for the stage and no worker has its function (no_worker), or has it with these types "+
			"(other_types); otherwise absent.", "stage", "function", "reason"),
		items: newFamily(gaugeType, "queue_items", "Items of the queue by place: unread (waiting), come back from a worker (requeued), until another attempt (delayed), "+
			"fatal to two workers (suspect), read and not finished (running).", "queue", "flow", "state"),
		bytes:     newFamily(gaugeType, "queue_bytes", "Bytes of the items that wait in the queue.", "queue", "flow"),
		oldest:    newFamily(gaugeType, "queue_oldest_seconds", "Time since the oldest unread batch came into the queue, or came back; 0 without one.", "queue", "flow"),
		limit:     newFamily(gaugeType, "queue_limit_items", "Items that may wait in the queue; absent without a bound.", "queue", "flow"),
		full:      newFamily(gaugeType, "queue_full", "1 if a bound of the queue is reached.", "queue", "flow"),
		added:     newFamily(counterType, "queue_added_items_total", "Items that came to the queue, also those that a worker passed on without it.", "queue", "flow"),
		dropped:   newFamily(counterType, "queue_dropped_items_total", "Items that overflow policies have dropped.", "queue", "flow"),
		workers:   newFamily(gaugeType, "workers", "Workers: live, with an overdue heartbeat (late), without one for a lease (silent).", "state"),
		executors: newFamily(gaugeType, "executors", "Executors, likewise.", "state"),
		slots:     newFamily(gaugeType, "slots", "Calls that can run at once, in workers that are not silent."),
		letters:   newFamily(gaugeType, "dead_letters", "Dead letters that wait for an operator."),
		abandoned: newFamily(gaugeType, "abandoned_slots", "Calls that were left behind, since they did not return after their timeout."),
		up:        newFamily(gaugeType, "redis_up", "1 if Redis answers."),
		age:       newFamily(gaugeType, "snapshot_age_seconds", "Time since the namespace was read. From 30 s on, the other metrics of the namespace are absent."),
		memory:    newFamily(gaugeType, "redis_memory_bytes", "Memory that Redis uses; absent if the user may not call INFO."),
		maxMemory: newFamily(gaugeType, "redis_memory_limit_bytes", "maxmemory of Redis; absent without a limit."),
		conns:     newFamily(gaugeType, "redis_connections", "Open connections of Redis."),
		info:      newFamily(gaugeType, "build_info", "1, with the version of dqbridge and of Go.", "version", "goversion"),
	}
}

func (f fleetFamilies) all() []family {
	return append(f.stages.all(), f.stageWorkers, f.paused, f.stuck, f.items, f.bytes, f.oldest, f.limit, f.full, f.added, f.dropped,
		f.workers, f.executors, f.slots, f.letters, f.abandoned, f.up, f.age, f.memory, f.maxMemory, f.conns, f.info)
}

// sendStates sends whether the stages of a series have workers and run. unread has the unread items
// of each queue.
func (f fleetFamilies) sendStates(to chan<- prometheus.Metric, s series, stages []inspect.Stage, unread map[string]int64) {
	workers, paused, reasons := -1, false, map[string]bool{}
	for _, i := range s.members {
		stage := stages[i]
		if workers < 0 || stage.Workers < workers {
			workers = stage.Workers
		}
		paused = paused || stage.Paused
		var waiting int64
		for _, in := range stage.In {
			waiting += unread[in]
		}
		switch {
		case waiting == 0 || stage.Paused || stage.Workers > 0:
		case stage.Others > 0:
			reasons["other_types"] = true
		default:
			reasons["no_worker"] = true
		}
	}
	f.stageWorkers.send(to, float64(max(workers, 0)), s.labels[0], s.labels[1])
	f.paused.send(to, truth(paused).value(), s.labels[0], s.labels[1])
	for reason := range reasons {
		f.stuck.send(to, 1, s.labels[0], s.labels[1], reason)
	}
}

// sendProcesses sends the metrics of workers and executors.
func (f fleetFamilies) sendProcesses(to chan<- prometheus.Metric, s inspect.Snapshot) {
	workers, executors, slots, abandoned := map[string]int{}, map[string]int{}, 0, 0
	for _, w := range s.Workers {
		workers[w.State]++
		if w.State != inspect.Silent {
			slots += w.Concurrency
		}
		abandoned += w.Stuck
	}
	for _, p := range s.Executors {
		executors[p.State]++
	}
	for _, state := range []string{inspect.Live, inspect.Late, inspect.Silent} {
		f.workers.send(to, float64(workers[state]), state)
		f.executors.send(to, float64(executors[state]), state)
	}
	f.slots.send(to, float64(slots))
	f.abandoned.send(to, float64(abandoned))
	f.letters.send(to, float64(s.Letters))
}

func (f fleetFamilies) sendServer(to chan<- prometheus.Metric, s inspect.Server) {
	f.memory.send(to, float64(s.Memory))
	if s.MaxMemory > 0 {
		f.maxMemory.send(to, float64(s.MaxMemory))
	}
	f.conns.send(to, float64(s.Clients))
}

// The counts of a queue.
const (
	addedCount = iota
	droppedCount
	queueCounts
)

// collectQueues sends the metrics of queues. The caller holds the mutex.
func (f *Fleet) collectQueues(to chan<- prometheus.Metric, s inspect.Snapshot) {
	flows := flowLabels(s)
	members := make([]member, 0, len(s.Queues))
	for i := range s.Queues {
		q := &s.Queues[i]
		name := q.Name
		if q.Owner != "" {
			name = unnamed
		}
		n := make(counts, queueCounts)
		n[addedCount], n[droppedCount] = q.Added+q.Fused, q.Dropped
		members = append(members, member{q.Name, labels{labelText(name), flows[place{q.Partition, q.Name}]}, q.Unread() + q.Running, n})
	}
	for _, series := range f.queues.update(members) {
		f.families.sendQueues(to, series, s)
	}
}

// sendQueues sends the metrics of a series of queues.
func (f fleetFamilies) sendQueues(to chan<- prometheus.Metric, s series, all inspect.Snapshot) {
	var sum inspect.Queue
	var oldest time.Duration
	for _, i := range s.members {
		q := &all.Queues[i]
		sum.Waiting, sum.Requeued, sum.Delayed = sum.Waiting+q.Waiting, sum.Requeued+q.Requeued, sum.Delayed+q.Delayed
		sum.Suspects, sum.Running = sum.Suspects+q.Suspects, sum.Running+q.Running
		sum.Bytes, sum.Max, sum.Full = sum.Bytes+q.Bytes, sum.Max+q.Max, sum.Full || q.Full
		if !q.Oldest.IsZero() {
			oldest = max(oldest, all.At.Sub(q.Oldest))
		}
	}
	queue, flow := s.labels[0], s.labels[1]
	f.items.send(to, float64(sum.Waiting), queue, flow, "waiting")
	f.items.send(to, float64(sum.Requeued), queue, flow, "requeued")
	f.items.send(to, float64(sum.Delayed), queue, flow, "delayed")
	f.items.send(to, float64(sum.Suspects), queue, flow, "suspect")
	f.items.send(to, float64(sum.Running), queue, flow, "running")
	f.bytes.send(to, float64(sum.Bytes), queue, flow)
	f.oldest.send(to, oldest.Seconds(), queue, flow)
	if sum.Max > 0 {
		f.limit.send(to, float64(sum.Max), queue, flow)
	}
	f.full.send(to, truth(sum.Full).value(), queue, flow)
	f.added.send(to, float64(s.sum[addedCount]), queue, flow)
	f.dropped.send(to, float64(s.sum[droppedCount]), queue, flow)
}

// A place is a queue of a partition.
type place struct {
	partition int
	queue     string
}

// flowLabels returns the label of the flow of each queue: its name, or the chain of its functions if
// its first queue has no name of the user's.
func flowLabels(s inspect.Snapshot) map[place]string {
	named := map[place]bool{}
	for i := range s.Queues {
		named[place{s.Queues[i].Partition, s.Queues[i].Name}] = s.Queues[i].Owner == ""
	}
	found := make(map[place]string, len(s.Queues))
	for _, f := range s.Flows() {
		name := f.Name
		if !named[place{f.Partition, f.Name}] {
			name = strings.Join(f.Chain, ">")
		}
		for _, q := range f.Queues {
			found[place{f.Partition, q}] = labelText(name)
		}
	}
	return found
}
