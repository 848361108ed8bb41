package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// callFamilies are the metrics of the calls of a process to Redis.
type callFamilies struct{ duration, errors family }

func newCallFamilies() callFamilies {
	return callFamilies{
		duration: newFamily(histogramType, "redis_call_duration_seconds", "Time until Redis has answered a call of this process, by its script or command; "+
			"pipeline is for several commands at once. Blocked reads are not counted.", "verb").coarse(),
		errors: newFamily(counterType, "redis_errors_total", "Calls of this process that have failed, each attempt by itself: without an answer in time (timeout) "+
			"or a connection (connection), with a full memory of Redis (full), without a permission (denied), at a time at which Redis cannot answer (server), "+
			"or for another reason (refused).", "kind"),
	}
}

func (f callFamilies) all() []family { return []family{f.duration, f.errors} }

// callKinds are all kinds of errors. Each has a series from the start.
var callKinds = []string{
	broker.CallTimeout, broker.CallConnection, broker.CallFull, broker.CallDenied, broker.CallServer, broker.CallRefused,
}

func (f callFamilies) send(to chan<- prometheus.Metric, calls broker.Calls) {
	for verb, times := range calls.Times {
		f.duration.sendHistogram(to, bucketsOf(times.Buckets), times.Sum(), verb)
	}
	for _, kind := range callKinds {
		f.errors.send(to, float64(calls.Errors[kind]), kind)
	}
}
