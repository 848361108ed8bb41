package executor

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// StageInfo describes a stage.
type StageInfo struct {
	ID       string        `json:"id"`
	Kind     string        `json:"kind"` // "map", "copy" or "future"
	Function string        `json:"function"`
	In       []string      `json:"in"`
	Out      []string      `json:"out"`
	Cost     time.Duration `json:"cost_ns"` // of an item at the dearest stage from this one on, 0 if unknown
	Workers  int           `json:"workers"` // live workers that have the function
	Others   int           `json:"others"`  // live workers that have it with other types, and so leave the stage alone
	Paused   bool          `json:"paused"`  // no worker runs it, since the process that it goes with is dead
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

func stageInfo(part *broker.Client, s broker.Stage, costs map[string]time.Duration, fleet []WorkerInfo) StageInfo {
	info := StageInfo{ID: s.ID, Kind: s.Kind, Function: s.Function, In: s.Inputs(), Out: []string{}, Paused: s.Paused, Partition: part.Index()}
	for _, in := range info.In {
		info.Cost = costs[in]
	}
	for _, out := range s.Outs {
		info.Out = append(info.Out, out.Name)
	}
	for _, w := range fleet {
		has, matches := w.serves(s)
		switch {
		case matches:
			info.Workers++
		case has:
			info.Others++
		}
	}
	return info
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
