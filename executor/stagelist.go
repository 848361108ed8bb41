package executor

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// Stages lists all stages of the namespace, those of a partition in the order in which they were
// made. It costs about four round trips for each thousand queues of a partition. ErrClosed: the
// Executor was closed.
func (ex *Executor) Stages(ctx context.Context) ([]inspect.Stage, error) {
	if err := ex.check("stages"); err != nil {
		return nil, err
	}
	return ex.inspector.Stages(ctx)
}

// Stages lists what Executor.Stages does.
func (i inspector) Stages(ctx context.Context) ([]inspect.Stage, error) {
	s, err := i.snapshot(ctx, "stages", readQueues)
	return s.Stages, err
}

func stageInfo(part *broker.Client, s broker.Stage, work broker.StageReport, now time.Time, fleet []fleetMember) inspect.Stage {
	n := work.Counts
	info := inspect.Stage{
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

// A fleetMember is a worker with the functions that it has.
type fleetMember struct {
	inspect.Worker
	cards []broker.FunctionCard
}

// serves reports whether a live worker has the function of a stage, and whether it can run the
// stage. A copy needs no function.
func (w fleetMember) serves(s broker.Stage) (has, matches bool) {
	if w.State == inspect.Silent {
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
