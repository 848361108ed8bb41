package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dqbridge/dqbridge/inspect"
)

// fleetFamilies are the metrics of a namespace.
type fleetFamilies struct {
	stages                        stageFamilies
	queues                        queueFamilies
	stageWorkers, paused, stuck   family
	workers, executors, slots     family
	letters, deaths, abandoned    family
	up                            family
	age, memory, maxMemory, conns family
	info                          family
}

func newFleetFamilies() fleetFamilies {
	return fleetFamilies{
		stages:       newStageFamilies(),
		queues:       newQueueFamilies(),
		stageWorkers: newFamily(gaugeType, "stage_workers", "Live workers that can run the stage: they have its function, with its types, and its tags.", "stage", "function"),
		paused: newFamily(gaugeType, "stage_paused", "1 if no worker runs the stage since an operator has paused it (operator), or since the process that it goes with is dead "+
			"(dead_process); otherwise absent.", "stage", "function", "reason"),
		stuck: newFamily(gaugeType, "stage_stuck", "1 if items wait for the stage and no worker has its function (no_worker), has it with these types "+
			"(other_types), or has the tags of the stage (no_tags); otherwise absent.", "stage", "function", "reason"),
		workers:   newFamily(gaugeType, "workers", "Workers: live, with an overdue heartbeat (late), without one for a lease (silent).", "state"),
		executors: newFamily(gaugeType, "executors", "Executors, likewise.", "state"),
		slots:     newFamily(gaugeType, "slots", "Calls that can run at once, in workers that are not silent."),
		deaths:    newFamily(counterType, "worker_deaths_total", "Workers that were declared dead; begins at 0 again after all processes have left."),
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
	return append(slices.Concat(f.stages.all(), f.queues.all()), f.stageWorkers, f.paused, f.stuck, f.workers,
		f.executors, f.slots, f.letters, f.deaths, f.abandoned, f.up, f.age, f.memory, f.maxMemory, f.conns, f.info)
}

// sendStates sends whether the stages of a series have workers and run. unread has the unread items
// of each queue.
func (f fleetFamilies) sendStates(to chan<- prometheus.Metric, s series, stages []inspect.Stage, unread map[string]int64) {
	workers, paused, stuck := -1, map[string]bool{}, map[string]bool{}
	for _, i := range s.members {
		stage := &stages[i]
		if workers < 0 || stage.Workers < workers {
			workers = stage.Workers
		}
		var waiting int64
		for _, in := range stage.In {
			waiting += unread[in]
		}
		switch {
		case stage.Pause != nil:
			paused["operator"] = true
		case stage.Paused:
			paused["dead_process"] = true
		case waiting == 0 || stage.Workers > 0:
		case stage.Untagged > 0:
			stuck["no_tags"] = true
		case stage.Others > 0:
			stuck["other_types"] = true
		default:
			stuck["no_worker"] = true
		}
	}
	f.stageWorkers.send(to, float64(max(workers, 0)), s.labels[0], s.labels[1])
	for reason := range paused {
		f.paused.send(to, 1, s.labels[0], s.labels[1], reason)
	}
	for reason := range stuck {
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
	f.deaths.send(to, float64(s.WorkerDeaths))
}

func (f fleetFamilies) sendServer(to chan<- prometheus.Metric, s inspect.Server) {
	f.memory.send(to, float64(s.Memory))
	if s.MaxMemory > 0 {
		f.maxMemory.send(to, float64(s.MaxMemory))
	}
	f.conns.send(to, float64(s.Clients))
}
