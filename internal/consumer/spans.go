package consumer

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/trace"
)

// BeginSpan begins the span of the delivery of a range, and counts its items. end ends it; it is nil
// if the range has no trace, or the executor makes no spans.
func (r *Receiver) BeginSpan(ctx context.Context, rg Range) (end func(error)) {
	if meter := r.client.Meter(); meter != nil {
		meter.Received(ctx, r.batchOf(rg))
	}
	tracer := r.client.Tracer()
	if tracer == nil {
		return nil
	}
	traces := rg.Entry.Trace()
	if traces == "" {
		return nil
	}
	return tracer.Receive(ctx, traces, r.batchOf(rg))
}

// batchOf describes a range.
func (r *Receiver) batchOf(rg Range) trace.Batch {
	queue := r.gather.Queue
	return trace.Batch{Queue: queue.Name, Temporary: queue.Owner != "", Source: rg.Entry.Source, First: rg.From, Items: rg.Len()}
}
