package executor

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// StageInfo describes a stage.
type StageInfo struct {
	ID       string   `json:"id"`
	Kind     string   `json:"kind"` // "map", "copy" or "future"
	Function string   `json:"function"`
	In       []string `json:"in"`
	Out      []string `json:"out"`
	Workers  int      `json:"workers"` // live workers that have the function
	Slots    int      `json:"slots"`   // of these workers together
	Others   int      `json:"others"`  // live workers that have it with other types, and so leave the stage alone
	Paused   bool     `json:"paused"`  // no worker runs it, since the process that it goes with is dead

	// The following are counted by the workers, which report them about once a heartbeat. Each stage
	// counts its own items and time, also where one worker runs several stages one after another.
	Done    int64         `json:"done"`     // items that have a result, with the failed ones
	Failed  int64         `json:"failed"`   // of these, items whose function failed
	Retried int64         `json:"retried"`  // failed attempts that another one followed
	Lost    int64         `json:"lost"`     // of the done items, results that another worker was faster to store
	Spent   time.Duration `json:"spent_ns"` // time of the calls that have returned
	Busy    time.Duration `json:"busy_ns"`  // time of all calls, also of those that have not returned
	Full    time.Duration `json:"full_ns"`  // time in which items waited in a worker for room behind the stage
	Cost    time.Duration `json:"cost_ns"`  // mean time of an item, 0 if none is done
	P50     time.Duration `json:"p50_ns"`   // half of the items took at most this time; off by 9 percent at most
	P99     time.Duration `json:"p99_ns"`   // 99 of 100 items took at most this time; likewise
	// Rate is the number of items done in a second, over the last half minute.
	Rate float64 `json:"rate"`
	// RecentDone and RecentFailed are Done and Failed of the last five minutes.
	RecentDone   int64     `json:"recent_done"`
	RecentFailed int64     `json:"recent_failed"`
	Last         time.Time `json:"last,omitzero"` // of the last report, by the clock of Redis; zero if there was none
	// Partition is the number of the partition that has the stage, 0 if there is only one.
	Partition int `json:"partition"`
}

// Stages lists all stages of the namespace, those of a partition in the order in which they were
// made. It costs about four round trips for each thousand queues of a partition. ErrClosed: the
// Executor was closed.
func (ex *Executor) Stages(ctx context.Context) ([]StageInfo, error) {
	if err := ex.check("stages"); err != nil {
		return nil, err
	}
	return ex.inspector.Stages(ctx)
}

// Stages lists what Executor.Stages does.
func (i inspector) Stages(ctx context.Context) ([]StageInfo, error) {
	s, err := i.snapshot(ctx, "stages", readQueues)
	return s.Stages, err
}

func stageInfo(part *broker.Client, s broker.Stage, work broker.StageReport, now time.Time, fleet []WorkerInfo) StageInfo {
	n := work.Counts
	info := StageInfo{
		ID: s.ID, Kind: s.Kind, Function: s.Function, In: s.Inputs(), Out: []string{}, Paused: s.Paused, Partition: part.Index(),
		Done: n.Items, Failed: n.Failed, Retried: n.Retried, Lost: n.Lost, Spent: n.Spent, Busy: n.Busy, Full: n.Full,
		P50: work.Times.Quantile(0.5), P99: work.Times.Quantile(0.99), Rate: rate(work.Seconds, now), Last: work.Last,
	}
	for _, minute := range work.Minutes {
		info.RecentDone, info.RecentFailed = info.RecentDone+minute.Items, info.RecentFailed+minute.Failed
	}
	if attempts := n.Items + n.Retried; attempts > 0 {
		info.Cost = n.Spent / time.Duration(attempts)
	}
	for _, out := range s.Outs {
		info.Out = append(info.Out, out.Name)
	}
	for _, w := range fleet {
		has, matches := w.serves(s)
		switch {
		case matches:
			info.Workers++
			info.Slots += w.Concurrency
		case has:
			info.Others++
		}
	}
	return info
}

// rate returns the number of items done in a second, over the time slots that have passed since the
// first one, at least one and a part.
func rate(slots []broker.TimeSlot, now time.Time) float64 {
	var items int64
	for _, s := range slots {
		items += s.Items
	}
	if len(slots) == 0 {
		return 0
	}
	return float64(items) / max(slots[0].Length, now.Sub(slots[0].Start)).Seconds()
}

// serves reports whether a live worker has the function of a stage, and whether it can run the
// stage. A copy needs no function.
func (w WorkerInfo) serves(s broker.Stage) (has, matches bool) {
	if w.State == processSilent {
		return false, false
	}
	if s.Kind == broker.KindCopy {
		return true, true
	}
	for _, card := range w.cards {
		if card.Name == s.Function {
			return true, fits(codec.Info{Codec: s.InCodec, Type: s.InType}, codec.Info{Codec: card.InCodec, Type: card.In}) &&
				fits(codec.Info{Codec: s.OutCodec, Type: s.OutType}, codec.Info{Codec: card.OutCodec, Type: card.Out})
		}
	}
	return false, false
}
