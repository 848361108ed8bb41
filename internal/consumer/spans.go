package consumer

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/trace"
)

// BeginSpan begins the span of the delivery of a range. end ends it; it is nil if the range has no
// trace, or the executor makes no spans.
func (r *Receiver) BeginSpan(ctx context.Context, rg Range) (end func(error)) {
	tracer := r.client.Tracer()
	if tracer == nil {
		return nil
	}
	traces := rg.Entry.Trace()
	if traces == "" {
		return nil
	}
	queue := r.gather.Queue
	return tracer.Receive(ctx, traces, trace.Batch{
		Queue: queue.Name, Temporary: queue.Owner != "", Source: rg.Entry.Source, First: rg.From, Items: rg.Len(),
	})
}
