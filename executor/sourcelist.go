package executor

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// SourceInfo describes a source, one scatter into a queue, that is not delivered to its end.
type SourceInfo struct {
	Name  string `json:"name"`
	Queue string `json:"queue"`
	// State is "open", "full" while it waits for room in its queue, "window" while it waits for its
	// gathers, "away" if its process is gone and a successor may come, "cut" if it was given up
	// before its end, and "ended".
	State     string `json:"state"`
	Stored    int64  `json:"stored"`    // items so far
	End       int64  `json:"end"`       // number of its items, -1 until it has ended
	Delivered int64  `json:"delivered"` // items that all gathers have delivered, -1 if nothing has gathered
	Dropped   int64  `json:"dropped"`   // items that its overflow policy has dropped
	Durable   bool   `json:"durable"`   // see bridge.DurableSource
	Why       string `json:"why"`       // why it was cut or is away
	// By is the process that adds to it, or that has left it behind; nil if it goes with none, or has
	// ended.
	By *ProcessInfo `json:"by,omitempty"`
	// Partition is the number of the partition that has the source, 0 if there is only one.
	Partition int `json:"partition"`
}

// Sources lists the sources of all queues, by queue and in the order in which they last began or
// ended: at most 1000 of a queue. It costs about six round trips for each thousand queues of a
// partition. ErrClosed: the Executor was closed.
func (ex *Executor) Sources(ctx context.Context) ([]SourceInfo, error) {
	if err := ex.check("sources"); err != nil {
		return nil, err
	}
	return ex.inspector.Sources(ctx)
}

// Sources lists what Executor.Sources does.
func (i inspector) Sources(ctx context.Context) ([]SourceInfo, error) {
	s, err := i.snapshot(ctx, "sources", readSources)
	return s.Sources, err
}

func sourceInfo(part *broker.Client, s broker.SourceState, processes map[string]ProcessInfo) SourceInfo {
	info := SourceInfo{
		Name: s.Name, Queue: s.Queue, Stored: s.Stored, End: s.End, Delivered: s.Delivered, Dropped: s.Lost, Durable: s.Named,
		Why: s.Cut + s.Away, Partition: part.Index(),
	}
	switch {
	case s.Cut != "":
		info.State = "cut"
	case s.End >= 0:
		info.State = "ended"
	case s.Away != "":
		info.State = "away"
	case s.Full:
		info.State = "full"
	case s.Window:
		info.State = "window"
	default:
		info.State = stateOpen
	}
	if s.Executor != "" && info.State != stateEnded {
		by := processOf(processes, s.Executor)
		info.By = &by
	}
	return info
}
