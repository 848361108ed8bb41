package executor

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// Stages lists all stages of the namespace, those of a partition in the order in which they were
// made. It costs three round trips, and one more for each further thousand stages of a partition.
// ErrClosed: the Executor was closed.
func (ex *Executor) Stages(ctx context.Context) ([]inspect.Stage, error) {
	if err := ex.check("stages"); err != nil {
		return nil, err
	}
	return ex.inspector.Stages(ctx)
}

// Stages lists what Executor.Stages does.
func (i inspector) Stages(ctx context.Context) ([]inspect.Stage, error) {
	s, err := i.snapshot(ctx, "stages", reading{stages: true})
	return s.Stages, err
}

func stageInfo(part *broker.Client, s broker.Stage, work broker.StageReport, now time.Time, holders fleet) inspect.Stage {
	n := work.Counts
	info := inspect.Stage{
		ID: s.ID, Kind: s.Kind, Function: s.Function, In: append([]string{}, s.Inputs()...), Out: []string{}, Tags: append([]string{}, s.Tags...), Paused: s.Paused, Partition: part.Index(),
		Done: n.Items, Failed: n.Failed, Retried: n.Retried, Lost: n.Lost, Batches: n.Batches, Spent: n.Spent, Busy: n.Busy, Full: n.Full,
		Recent: recentWork(work.Seconds, now), Last: work.Last,
	}
	if info.Recent.Length > 0 {
		info.Rate = float64(info.Recent.Done) / info.Recent.Length.Seconds()
	}
	info.Wait = histogramOf(&work.Waits)
	if took := histogramOf(&work.Times); took != nil {
		info.Times, info.P50, info.P95, info.P99, info.Max = took.Times, took.P50, &took.P95, took.P99, &took.Max
	}
	if n.Batches > 0 {
		size := float64(n.Items+n.Retried) / float64(n.Batches)
		info.BatchSize = &size
	}
	setLimits(&info, s.Limits)
	if p := s.Pause; p != nil {
		info.Pause = &inspect.Pause{By: p.By, At: time.UnixMilli(p.At), Why: p.Why}
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
	holders.count(s, &info)
	return info
}

// setLimits sets the limits of a stage whose calls are counted already. A call of several items counts
// once against a rate.
func setLimits(info *inspect.Stage, l *broker.Limits) {
	if l == nil {
		return
	}
	info.Limits, info.MaxConcurrency = l.String(), l.Most
	if l.Rate > 0 {
		info.MaxRate = float64(l.Rate) / l.Per.Seconds()
	}
	if l.Batch > 0 && info.BatchSize != nil {
		info.MaxRate *= *info.BatchSize
	}
}

// histogramOf returns nil for a histogram without items.
func histogramOf(h *broker.Histogram) *inspect.Histogram {
	n := h.Count()
	if n == 0 {
		return nil
	}
	found := inspect.Histogram{Count: n, Sum: h.Sum(), P50: h.Quantile(0.5), P95: h.Quantile(0.95), P99: h.Quantile(0.99), Max: h.Quantile(1)}
	for bound, count := range h.Buckets {
		found.Times = append(found.Times, inspect.Bucket{UpperSeconds: bound, Count: count})
	}
	return &found
}

// recentWork joins time slots to one from the begin of the first one until now, of at least its
// length: that of a time in which a stage began to work.
func recentWork(slots []broker.TimeSlot, now time.Time) inspect.Work {
	if len(slots) == 0 {
		return inspect.Work{}
	}
	w := workOf(slots[0])
	w.Length = max(w.Length, now.Sub(w.Start))
	for _, s := range slots[1:] {
		w.Done, w.Failed, w.Busy, w.Full = w.Done+s.Items, w.Failed+s.Failed, w.Busy+s.Busy, w.Full+s.Full
	}
	return w
}

func workOf(s broker.TimeSlot) inspect.Work {
	return inspect.Work{
		Start: s.Start, Length: s.Length, Done: s.Items, Failed: s.Failed, Busy: s.Busy, Full: s.Full,
		Waiting: s.Waiting, Oldest: s.Oldest, Added: s.Added, Fused: s.Fused,
	}
}

// A fleet has the holders of each function among the workers that send heartbeats and take items, and all of these
// workers as the holders of the function "", since a copy needs none.
type fleet map[string][]holder

// A holder is a worker that has a function.
type holder struct {
	card  broker.FunctionCard
	slots int
	tags  []string
}

// add adds a worker with its functions.
func (f fleet) add(w inspect.Worker, cards []broker.FunctionCard) {
	if w.State == inspect.Silent || w.Draining {
		return
	}
	f[""] = append(f[""], holder{slots: w.Concurrency, tags: w.Tags})
	for _, card := range cards {
		f[card.Name] = append(f[card.Name], holder{card, w.Concurrency, w.Tags})
	}
}

// count counts the workers that can run a stage, those that have its function with other types, and
// those that lack tags.
func (f fleet) count(s broker.Stage, info *inspect.Stage) {
	in, out := codec.Info{Codec: s.InCodec, Type: s.InType}, codec.Info{Codec: s.OutCodec, Type: s.OutType}
	for _, h := range f[s.Function] {
		fit := fits(in, codec.Info{Codec: h.card.InCodec, Type: h.card.In}) && fits(out, codec.Info{Codec: h.card.OutCodec, Type: h.card.Out})
		switch {
		case !fit:
			info.Others++
		case !s.Admits(h.tags):
			info.Untagged++
		default:
			info.Workers++
			info.Slots += h.slots
		}
	}
}
