package metrics

import (
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The counts of a stage. The buckets of its times and of its waits follow them.
const (
	doneCount = iota
	failedCount
	lostCount
	retriedCount
	batchesCount
	spentCount
	busyCount
	fullCount
	waitedCount
	timeCounts
	waitCounts  = timeCounts + buckets
	stageCounts = waitCounts + buckets
)

// stageFamilies are the metrics that workers and fleets have of stages.
type stageFamilies struct {
	items, lost, retries, batches, duration, wait, slotSeconds, longest family
}

func newStageFamilies() stageFamilies {
	return stageFamilies{
		items:    newFamily(counterType, "items_total", "Items with a result: a value (ok) or a failure (failed).", "stage", "function", "result"),
		lost:     newFamily(counterType, "lost_items_total", "Results that were not stored, since another worker was first; counted in dqbridge_items_total too.", "stage", "function"),
		retries:  newFamily(counterType, "retries_total", "Failed attempts that another attempt followed.", "stage", "function"),
		batches:  newFamily(counterType, "batches_total", "Calls of the stage, each for one or several items.", "stage", "function"),
		duration: newFamily(histogramType, "item_duration_seconds", "Time that an item took in the stage alone.", "stage", "function"),
		wait: newFamily(histogramType, "item_wait_seconds", "Time from the arrival of an item in the in-queue of the stage, or its return there, to its call. "+
			"Items that a worker passed on without the queue are not counted.", "stage", "function").coarse(),
		slotSeconds: newFamily(counterType, "slot_seconds_total", "Time that slots ran the stage (busy), and time, summed over workers, "+
			"in which items waited for room behind it (full).", "stage", "function", "state"),
		longest: newFamily(gaugeType, "longest_running_seconds", "Time for which the oldest running call of the stage has been at its item; absent without one.", "stage", "function"),
	}
}

func (f stageFamilies) all() []family {
	return []family{f.items, f.lost, f.retries, f.batches, f.duration, f.wait, f.slotSeconds, f.longest}
}

// send sends the counters of a series.
func (f stageFamilies) send(to chan<- prometheus.Metric, s series) {
	stage, function := s.labels[0], s.labels[1]
	f.items.send(to, float64(s.sum[doneCount]-s.sum[failedCount]), stage, function, "ok")
	f.items.send(to, float64(s.sum[failedCount]), stage, function, "failed")
	f.lost.send(to, float64(s.sum[lostCount]), stage, function)
	f.retries.send(to, float64(s.sum[retriedCount]), stage, function)
	f.batches.send(to, float64(s.sum[batchesCount]), stage, function)
	f.slotSeconds.send(to, time.Duration(s.sum[busyCount]).Seconds(), stage, function, "busy")
	f.slotSeconds.send(to, time.Duration(s.sum[fullCount]).Seconds(), stage, function, "full")
	f.duration.sendHistogram(to, s.sum[timeCounts:waitCounts], time.Duration(s.sum[spentCount]), stage, function)
	f.wait.sendHistogram(to, s.sum[waitCounts:], time.Duration(s.sum[waitedCount]), stage, function)
}

// sendLongest sends the time of the call that runs longest, if one of the stages of a series has a
// call. longest has it by the id of the stage.
func (f stageFamilies) sendLongest(to chan<- prometheus.Metric, s series, members []member, longest map[string]time.Duration) {
	most := time.Duration(-1)
	for _, i := range s.members {
		if d, ok := longest[members[i].id]; ok {
			most = max(most, d)
		}
	}
	if most >= 0 {
		f.longest.send(to, most.Seconds(), s.labels[0], s.labels[1])
	}
}

// unnamed is the label of stages whose out-queues have no names of the user's. Their names are
// different in each run of a program.
const unnamed = "_unnamed"

var generated = regexp.MustCompile(`\.[0-9a-f]{8}-[0-9a-f]{4}(\.[0-9]+)?$`)

// stageLabels returns the labels of a stage.
func stageLabels(id, function string) labels {
	if generated.MatchString(id) {
		id = unnamed
	}
	return labels{labelText(id), labelText(function)}
}

// maxLabel bounds the bytes of a label.
const maxLabel = 200

// labelText returns a text as the value of a label: valid UTF-8 of bounded length.
func labelText(text string) string {
	if len(text) > maxLabel {
		text = text[:maxLabel] + "..."
	}
	return strings.ToValidUTF8(text, "�")
}
