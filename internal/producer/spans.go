package producer

import (
	"context"
	"errors"
	"strings"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/trace"
)

// errNotStored ends the span of a batch that is given up before it is stored.
var errNotStored = errors.New("the batch was not stored")

// spans are the spans of batches that are not stored yet, by the offset behind each batch.
type spans map[int64][]func(error)

// end ends the spans of the batch before an offset.
func (all spans) end(offset int64) {
	for _, end := range all[offset] {
		end(nil)
	}
	delete(all, offset)
}

// countSent counts the items of a parcel that is stored.
func (s *Sender) countSent(ctx context.Context, p *broker.Parcel) {
	if meter := s.c.Meter(); meter != nil {
		meter.Sent(ctx, s.batchOf(p))
	}
}

// batchOf describes a parcel.
func (s *Sender) batchOf(p *broker.Parcel) trace.Batch {
	queue := s.source.Queue
	return trace.Batch{Queue: queue.Name, Temporary: queue.Owner != "", Source: s.source.Name, First: p.First, Items: p.N}
}

// fail ends all spans with an error.
func (all spans) fail(err error) {
	for _, ends := range all {
		for _, end := range ends {
			end(err)
		}
	}
	clear(all)
}

// parent returns the trace of a context, "" without a Tracer.
func (s *Sender) parent(ctx context.Context) string {
	tracer := s.c.Tracer()
	if tracer == nil {
		return ""
	}
	return tracer.Parent(ctx)
}

// beginSpans begins a span for a parcel in each of some traces.
func (s *Sender) beginSpans(ctx context.Context, p *broker.Parcel, parents string) {
	if parents == "" {
		return
	}
	about := s.batchOf(p)
	for parent := range strings.FieldsSeq(parents) {
		behind, end := s.c.Tracer().Send(ctx, parent, about)
		if end == nil {
			continue
		}
		p.Trace = trace.Add(p.Trace, behind)
		if s.spans == nil {
			s.spans = spans{}
		}
		s.spans[p.End()] = append(s.spans[p.End()], end)
	}
}

// beginSpans begins a span for each parcel in the trace of each request that has items there.
func (g *Group) beginSpans(ctx context.Context, parcels []broker.Parcel) {
	if g.sender.c.Tracer() == nil {
		return
	}
	for i := range parcels {
		g.sender.beginSpans(ctx, &parcels[i], g.traces(parcels[i]))
	}
}

// traces returns the traces of the requests with items in a parcel.
func (g *Group) traces(p broker.Parcel) (traces string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.at
	for r := g.requests.first; r != nil && at < p.End(); r = r.after {
		end := at + int64(r.taken-r.settled())
		if r.trace != "" && end > max(at, p.First) {
			traces = trace.Add(traces, r.trace)
		}
		at = end
	}
	return traces
}
