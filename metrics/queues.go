package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dqbridge/dqbridge/inspect"
)

// queueFamilies are the metrics of queues and their two ends, and of flows.
type queueFamilies struct {
	items, bytes, oldest, limit, full family
	added, dropped                    family
	stored, waited                    family // of sources
	delivered, reader, held, delivery family // of gathers
	eta                               family // of flows
}

func newQueueFamilies() queueFamilies {
	return queueFamilies{
		items: newFamily(gaugeType, "queue_items", "Items of the queue by place: unread (waiting), come back from a worker (requeued), until another attempt (delayed), "+
			"fatal to two workers (suspect), read and not finished (running).", "queue", "flow", "state"),
		bytes:   newFamily(gaugeType, "queue_bytes", "Bytes of the items that wait in the queue.", "queue", "flow"),
		oldest:  newFamily(gaugeType, "queue_oldest_seconds", "Time since the oldest unread batch came into the queue, or came back; 0 without one.", "queue", "flow"),
		limit:   newFamily(gaugeType, "queue_limit_items", "Items that may wait in the queue; absent without a bound.", "queue", "flow"),
		full:    newFamily(gaugeType, "queue_full", "1 if a bound of the queue is reached.", "queue", "flow"),
		added:   newFamily(counterType, "queue_added_items_total", "Items that came to the queue, also those that a worker passed on without it.", "queue", "flow"),
		dropped: newFamily(counterType, "queue_dropped_items_total", "Items that overflow policies have dropped.", "queue", "flow"),
		stored: newFamily(counterType, "source_stored_items_total", "Items that programs have scattered into the queue, as the reads of the namespace have found them: "+
			"the items of a source after the last read before its end are missing. Absent without a source.", "queue", "flow"),
		waited: newFamily(gaugeType, "source_wait_share", "Share of the last ten seconds in which a source waited for room in the queue or for its gathers, "+
			"from 0 to 1: the largest one of its sources. Absent without a source.", "queue", "flow"),
		delivered: newFamily(counterType, "gather_delivered_items_total", "Items that programs have taken from gathers of the queue, or acknowledged with ManualAck, "+
			"as the heartbeats of their processes have reported them. Absent without a gather.", "queue", "flow"),
		reader: newFamily(gaugeType, "gather_reader_share", "Share of the last ten seconds in which the gather of the queue waited for its program, from 0 to 1. "+
			"Absent without a gather that its process reports.", "queue", "flow"),
		held: newFamily(gaugeType, "gather_held_items", "Items in the memory of the gather, which wait for an item before them or for the program. "+
			"Absent without a gather that its process reports.", "queue", "flow"),
		delivery: newFamily(histogramType, "delivery_seconds", "Time from the scatter of an item to its delivery by the gather of the queue, as the heartbeats of the "+
			"gather's process have reported it: the items after the last heartbeat of a gather are missing. Absent without a delivery.", "queue", "flow").coarse(),
		eta: newFamily(gaugeType, "flow_eta_seconds", "Time until a running flow whose sources have ended is delivered at the present rate: the longest one of the flows with the label. "+
			"Absent if it is not known.", "flow"),
	}
}

func (f queueFamilies) all() []family {
	return []family{f.items, f.bytes, f.oldest, f.limit, f.full, f.added, f.dropped, f.stored, f.waited, f.delivered, f.reader, f.held, f.delivery, f.eta}
}

// The counts of a queue and of its two ends.
const (
	addedCount = iota
	droppedCount
	storedCount
	deliveredCount
	queueCounts

	deliverySumCount = queueCounts // of gathers alone, with their buckets behind it
	deliveryCounts   = deliverySumCount + 1
	gatherCounts     = deliveryCounts + buckets
)

// queueParts are queues with their sources and gathers.
type queueParts struct {
	queues  []inspect.Queue
	sources []inspect.Source
	gathers []inspect.Gather
}

// of returns the parts that are members of a series.
func (p queueParts) of(s series) (found queueParts) {
	for _, i := range s.members {
		source := i - len(p.queues)
		gather := source - len(p.sources)
		switch {
		case source < 0:
			found.queues = append(found.queues, p.queues[i])
		case gather < 0:
			found.sources = append(found.sources, p.sources[source])
		case gather < len(p.gathers):
			found.gathers = append(found.gathers, p.gathers[gather])
		}
	}
	return found
}

// A place is a queue of a partition.
type place struct {
	partition int
	queue     string
}

// collectQueues sends the metrics of queues and flows. The caller holds the mutex.
func (f *Fleet) collectQueues(to chan<- prometheus.Metric, s inspect.Snapshot, flows []inspect.Flow) {
	parts, members := queueMembers(s, flowLabels(s, flows))
	shown := map[string]bool{}
	for _, series := range f.queues.update(members) {
		f.families.queues.send(to, series, parts.of(series), s.At)
		shown[series.labels[1]] = true
	}
	f.families.queues.sendFlows(to, flows, s, shown)
}

// queueMembers returns the queues of a namespace, and then the sources, the gathers and the times of
// the gathers of these as members of the same series. flows has the label of each queue's flow.
func queueMembers(s inspect.Snapshot, flows map[place]string) (parts queueParts, members []member) {
	of := make(map[place]labels, len(s.Queues))
	parts.queues = s.Queues
	for i := range s.Queues {
		q := &s.Queues[i]
		name := q.Name
		if q.Owner != "" {
			name = unnamed
		}
		at, n := place{q.Partition, q.Name}, make(counts, queueCounts)
		of[at] = labels{labelText(name), flows[at]}
		n[addedCount], n[droppedCount] = q.Added+q.Fused, q.Dropped
		members = append(members, member{q.Name, of[at], q.Unread() + q.Running, n})
	}
	for _, source := range s.Sources {
		if l, ok := of[place{source.Partition, source.Queue}]; ok {
			n := make(counts, queueCounts)
			n[storedCount] = source.Stored
			parts.sources = append(parts.sources, source)
			members = append(members, member{id: "source\x00" + source.Queue + "\x00" + source.Name, labels: l, counts: n})
		}
	}
	for _, g := range s.Gathers {
		if l, ok := of[place{g.Partition, g.Queue}]; ok {
			var n counts
			if reported(g) {
				n = make(counts, queueCounts)
				n[deliveredCount] = g.Delivered
			}
			parts.gathers = append(parts.gathers, g)
			members = append(members, member{id: "gather\x00" + g.Queue + "\x00" + g.By.ID, labels: l, counts: n})
		}
	}
	for _, g := range parts.gathers { // members of their own, since the times may be missing where the rest is known
		members = append(members, member{id: "delivery\x00" + g.Queue + "\x00" + g.By.ID, labels: of[place{g.Partition, g.Queue}], counts: delivered(g)})
	}
	return parts, members
}

// delivered returns the counts of the times of a gather, nil if its process has not reported them.
func delivered(g inspect.Gather) counts {
	if !reported(g) || g.Delivery == nil {
		return nil
	}
	n := make(counts, gatherCounts)
	n[deliverySumCount] = int64(g.Delivery.Sum)
	copy(n[deliveryCounts:], bucketsOf(upperBounds(g.Delivery.Times)))
	return n
}

// reported tells whether the process of a gather reports it.
func reported(g inspect.Gather) bool { return g.State != inspect.Unknown && g.State != inspect.Dead }

// send sends the metrics of a series of queues at a time.
func (f queueFamilies) send(to chan<- prometheus.Metric, s series, parts queueParts, at time.Time) {
	queue, flow := s.labels[0], s.labels[1]
	var sum inspect.Queue
	var oldest time.Duration
	for i := range parts.queues {
		q := &parts.queues[i]
		sum.Waiting, sum.Requeued, sum.Delayed = sum.Waiting+q.Waiting, sum.Requeued+q.Requeued, sum.Delayed+q.Delayed
		sum.Suspects, sum.Running = sum.Suspects+q.Suspects, sum.Running+q.Running
		sum.Bytes, sum.Max, sum.Full = sum.Bytes+q.Bytes, sum.Max+q.Max, sum.Full || q.Full
		if !q.Oldest.IsZero() {
			oldest = max(oldest, at.Sub(q.Oldest))
		}
	}
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
	f.sendEnds(to, s, parts)
}

// sendEnds sends the metrics of the sources and the gathers of a series of queues.
func (f queueFamilies) sendEnds(to chan<- prometheus.Metric, s series, parts queueParts) {
	queue, flow := s.labels[0], s.labels[1]
	var waited float64
	for i := range parts.sources {
		waited = max(waited, parts.sources[i].Waited)
	}
	if len(parts.sources) > 0 {
		f.waited.send(to, waited, queue, flow)
	}
	if len(parts.sources) > 0 || s.sum[storedCount] > 0 {
		f.stored.send(to, float64(s.sum[storedCount]), queue, flow)
	}
	var reader float64
	var held, known int64
	for i := range parts.gathers {
		if g := &parts.gathers[i]; reported(*g) {
			reader, held, known = max(reader, g.Reader), held+g.Held, known+1
		}
	}
	if known > 0 {
		f.reader.send(to, reader, queue, flow)
		f.held.send(to, float64(held), queue, flow)
	}
	if known > 0 || s.sum[deliveredCount] > 0 {
		f.delivered.send(to, float64(s.sum[deliveredCount]), queue, flow)
	}
	if len(s.sum) == gatherCounts {
		f.delivery.sendHistogram(to, s.sum[deliveryCounts:], time.Duration(s.sum[deliverySumCount]), queue, flow)
	}
}

// sendFlows sends when flows will be delivered. shown are the labels of flows with series of their
// own.
func (f queueFamilies) sendFlows(to chan<- prometheus.Metric, flows []inspect.Flow, s inspect.Snapshot, shown map[string]bool) {
	names, longest := flowNames(s, flows), map[string]time.Duration{}
	for i, flow := range flows {
		name := names[i]
		if !shown[name] {
			name = other
		}
		longest[name] = max(longest[name], flow.ETA)
	}
	for name, eta := range longest {
		if eta > 0 {
			f.eta.send(to, eta.Seconds(), name)
		}
	}
}

// flowNames returns the label of each flow: its name, or the chain of its functions if its first
// queue has no name of the user's.
func flowNames(s inspect.Snapshot, flows []inspect.Flow) []string {
	named := map[place]bool{}
	for i := range s.Queues {
		named[place{s.Queues[i].Partition, s.Queues[i].Name}] = s.Queues[i].Owner == ""
	}
	names := make([]string, len(flows))
	for i, f := range flows {
		names[i] = labelText(f.Name)
		if !named[place{f.Partition, f.Name}] {
			names[i] = labelText(strings.Join(f.Chain, ">"))
		}
	}
	return names
}

// flowLabels returns the label of the flow of each queue.
func flowLabels(s inspect.Snapshot, flows []inspect.Flow) map[place]string {
	names, found := flowNames(s, flows), make(map[place]string, len(s.Queues))
	for i, f := range flows {
		for _, q := range f.Queues {
			found[place{f.Partition, q}] = names[i]
		}
	}
	return found
}
