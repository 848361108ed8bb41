package executor

import (
	"context"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Sources lists the sources of all queues, by queue and in the order in which they last began or
// ended: at most 1000 of a queue. It costs about five round trips for each thousand queues of a
// partition, and one more for each further thousand sources. ErrClosed: the Executor was closed.
func (ex *Executor) Sources(ctx context.Context) ([]inspect.Source, error) {
	if err := ex.check("sources"); err != nil {
		return nil, err
	}
	return ex.inspector.Sources(ctx)
}

// Sources lists what Executor.Sources does.
func (i inspector) Sources(ctx context.Context) ([]inspect.Source, error) {
	s, err := i.snapshot(ctx, "sources", reading{queues: true, sources: true})
	return s.Sources, err
}

func sourceInfo(part *broker.Client, s broker.SourceState, processes map[string]inspect.Process) inspect.Source {
	info := inspect.Source{
		Name: s.Name, Queue: s.Queue, Stored: s.Stored, End: s.End, Delivered: s.Delivered, Dropped: s.Lost, Durable: s.Named,
		Why: s.Cut + s.Away, Partition: part.Index(),
	}
	switch {
	case s.Cut != "":
		info.State = inspect.Cut
	case s.End >= 0:
		info.State = inspect.Ended
	case s.Away != "":
		info.State = inspect.Away
	case s.Full:
		info.State = inspect.Full
	case s.Window:
		info.State = inspect.Window
	default:
		info.State = inspect.Open
	}
	if s.Executor != "" && info.State != inspect.Ended {
		by := processOf(processes, s.Executor)
		info.By = &by
	}
	return info
}
