// Package tracing makes OpenTelemetry spans of the batches of flows, from the scatter to the gather.
//
// The trace of a context goes with the batches that are scattered in it if its span is sampled: the
// workers and the gather, which may be other programs on other machines, continue it. A batch without
// a trace costs no byte and makes no span.
//
//	send QUEUE        a batch that a scatter or a bridge.Producer stores, in the trace of its context
//	process FUNCTION  a call of a function on a batch; the context of the function has this span
//	receive QUEUE     the delivery of items of a batch to the program that gathers
//
// The spans of process and receive are children of that of send, and have a link to it. A batch with
// values of several callers of Producer.Send, and a call of a batch function on batches of several
// traces, has a link to each of them, up to 16, and is a child of the first one.
//
// ExecutorMetrics and WorkerMetrics count and measure in the same way, by the three metrics of the
// conventions for messaging that fit. They need no sampled span.
//
// The names of attributes are those of the semantic conventions for messaging, which are in
// development, as of version 1.45.0. Attributes of dqbridge itself begin with "dqbridge.".
package tracing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/handle"
	seam "github.com/dqbridge/dqbridge/internal/trace"
	"github.com/dqbridge/dqbridge/internal/worker"
	"github.com/dqbridge/dqbridge/workers"
)

const scope = "github.com/dqbridge/dqbridge/tracing"

var errNoProvider = errors.New("tracing: the TracerProvider is nil: pass one, or leave the option out")

// Executor makes an Executor trace: its scatters, producers and gathers, the calls of single
// functions, and the functions of this process. The default is no tracing. nil is an error of
// executor.New. An Inspector ignores it.
func Executor(provider trace.TracerProvider) executor.Option {
	return func(s *handle.Settings) error {
		if provider == nil {
			return errNoProvider
		}
		s.Connection.Tracer = newTracer(provider)
		return nil
	}
}

// Worker makes a worker trace the calls of its functions. The default is no tracing. nil is an error
// of workers.New.
func Worker(provider trace.TracerProvider) workers.Option {
	return func(o *worker.Options) error {
		if provider == nil {
			return errNoProvider
		}
		o.Connection.Tracer = newTracer(provider)
		return nil
	}
}

// A tracer makes spans by OpenTelemetry.
type tracer struct{ tracer trace.Tracer }

func newTracer(provider trace.TracerProvider) tracer {
	return tracer{provider.Tracer(scope, trace.WithInstrumentationVersion(connection.Version()))}
}

// Parent returns the traceparent of the span of a context.
func (t tracer) Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// parse returns the valid ones of traces.
func parse(ctx context.Context, traces string) (found []trace.SpanContext) {
	none := trace.ContextWithSpanContext(ctx, trace.SpanContext{}) // Extract returns it for an invalid text
	for one := range strings.FieldsSeq(traces) {
		ctx := propagation.TraceContext{}.Extract(none, propagation.MapCarrier{"traceparent": one})
		if span := trace.SpanContextFromContext(ctx); span.IsValid() {
			found = append(found, span)
		}
	}
	return found
}

// Send begins the span of a batch that is stored.
func (t tracer) Send(ctx context.Context, parent string, b seam.Batch) (behind string, end func(error)) {
	above := parse(ctx, parent)
	if len(above) == 0 {
		return "", nil
	}
	ctx, span := t.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, above[0]), "send "+destination(b), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attributes(b, "send")...))
	if behind = t.Parent(ctx); behind == "" {
		span.End()
		return "", nil
	}
	return behind, func(err error) { finish(span, err) }
}

// Process begins the span of a call.
func (t tracer) Process(ctx context.Context, traces string, c seam.Call) (context.Context, func(seam.Result)) {
	ctx, span := t.behind(ctx, traces, "process "+c.Function, append(attributes(c.Batch, "process"),
		attribute.String("messaging.consumer.group.name", "w"), attribute.String("dqbridge.function", c.Function),
		attribute.String("dqbridge.stage", c.Stage), attribute.Int("dqbridge.attempt", c.Attempt)))
	return ctx, func(r seam.Result) {
		span.SetAttributes(attribute.Int("dqbridge.items_run", r.Items))
		if r.Failed > 0 {
			span.SetAttributes(attribute.String("error.type", r.Code), attribute.Int("dqbridge.items_failed", r.Failed))
			span.SetStatus(codes.Error, fmt.Sprintf("%d of %d items failed", r.Failed, c.Items))
		}
		span.End()
	}
}

// Receive begins the span of a delivery.
func (t tracer) Receive(ctx context.Context, traces string, b seam.Batch) (end func(error)) {
	_, span := t.behind(ctx, traces, "receive "+destination(b), attributes(b, "receive"))
	return func(err error) { finish(span, err) }
}

// behind begins a span that is a child of the first of some traces, and has a link to each. It begins
// none if no trace is valid.
func (t tracer) behind(ctx context.Context, traces, name string, about []attribute.KeyValue) (context.Context, trace.Span) {
	found := parse(ctx, traces)
	links := make([]trace.Link, len(found))
	for i, one := range found {
		links[i].SpanContext = one
	}
	if len(found) == 0 {
		return ctx, noop.Span{}
	}
	ctx = trace.ContextWithRemoteSpanContext(ctx, found[0])
	return t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(links...), trace.WithAttributes(about...))
}

// attributes describe a batch, and the operation on it, which is its name and its type.
func attributes(b seam.Batch, operation string) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("messaging.system", "dqbridge"), attribute.String("messaging.destination.name", b.Queue),
		attribute.String("messaging.operation.name", operation), attribute.String("messaging.operation.type", operation),
		attribute.Int("messaging.batch.message_count", b.Items),
		attribute.String("dqbridge.source", b.Source), attribute.Int64("dqbridge.offset", b.First),
	}
	if b.Temporary {
		all = append(all, attribute.Bool("messaging.destination.temporary", true))
	}
	return all
}

// destination names a queue in the name of a span. The random names of unnamed queues would make
// as many names of spans.
func destination(b seam.Batch) string {
	if b.Temporary {
		return "(temporary)"
	}
	return b.Queue
}

// finish ends a span, as failed if err is set.
func finish(span trace.Span, err error) {
	if err != nil {
		span.SetAttributes(attribute.String("error.type", "_OTHER"))
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
