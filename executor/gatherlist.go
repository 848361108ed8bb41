package executor

import (
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// gatherInfo describes the gather of a queue.
func gatherInfo(part *broker.Client, q inspect.Queue) inspect.Gather {
	info := inspect.Gather{Queue: q.Name, By: *q.Gather, State: inspect.Unknown, Partition: part.Index()}
	if info.By.State == inspect.Dead {
		info.State = inspect.Dead
	}
	return info
}
