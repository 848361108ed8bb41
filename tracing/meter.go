package tracing

import (
	"context"
	"errors"
	"regexp"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/handle"
	seam "github.com/dqbridge/dqbridge/internal/trace"
	"github.com/dqbridge/dqbridge/internal/worker"
	"github.com/dqbridge/dqbridge/workers"
)

var errNoMeterProvider = errors.New("tracing: the MeterProvider is nil: pass one, or leave the option out")

// durations are the bounds of the buckets of messaging.process.duration that the conventions advise,
// in seconds.
var durations = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// ExecutorMetrics makes an Executor count its items by the metrics of the conventions for messaging:
// messaging.client.sent.messages, messaging.client.consumed.messages, and messaging.process.duration
// for the functions of this process. The default is none of them. nil, or a provider that refuses one
// of them, is an error of executor.New. An Inspector ignores it.
func ExecutorMetrics(provider metric.MeterProvider) executor.Option {
	return func(s *handle.Settings) (err error) {
		s.Connection.Meter, err = newMeter(provider)
		return err
	}
}

// WorkerMetrics makes a worker measure its calls by messaging.process.duration, and count their items
// by messaging.client.consumed.messages. The default is none of them. nil, or a provider that refuses
// one of them, is an error of workers.New.
func WorkerMetrics(provider metric.MeterProvider) workers.Option {
	return func(o *worker.Options) (err error) {
		o.Connection.Meter, err = newMeter(provider)
		return err
	}
}

// A meter has the instruments of a process.
type meter struct {
	sent, consumed metric.Int64Counter
	process        metric.Float64Histogram
}

func newMeter(provider metric.MeterProvider) (seam.Meter, error) {
	if provider == nil {
		return nil, errNoMeterProvider
	}
	from := provider.Meter(scope, metric.WithInstrumentationVersion(connection.Version()))
	sent, err1 := from.Int64Counter("messaging.client.sent.messages", metric.WithUnit("{message}"), metric.WithDescription("Items that were stored."))
	consumed, err2 := from.Int64Counter("messaging.client.consumed.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Items that a call of a worker or a gather took from a queue."))
	process, err3 := from.Float64Histogram("messaging.process.duration", metric.WithUnit("s"), metric.WithDescription("Time of a call of a function."),
		metric.WithExplicitBucketBoundaries(durations...))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return meter{sent, consumed, process}, nil
}

// Sent counts the items of a batch that was stored.
func (m meter) Sent(ctx context.Context, b seam.Batch) {
	m.sent.Add(ctx, int64(b.Items), metric.WithAttributes(measured(b, "send")...))
}

// Received counts items that a gather delivers.
func (m meter) Received(ctx context.Context, b seam.Batch) {
	m.consumed.Add(ctx, int64(b.Items), metric.WithAttributes(measured(b, "receive")...))
}

// Taken counts items of a queue that a worker has run.
func (m meter) Taken(ctx context.Context, b seam.Batch) {
	m.consumed.Add(ctx, int64(b.Items), metric.WithAttributes(append(measured(b, "process"), group)...))
}

// group is the consumer group of workers.
var group = attribute.String("messaging.consumer.group.name", "w")

// Processed measures a call.
func (m meter) Processed(ctx context.Context, c seam.Call, r seam.Result, took time.Duration) {
	about := append(measured(c.Batch, "process"), group, attribute.String("dqbridge.function", c.Function))
	if r.Failed > 0 {
		about = append(about, attribute.String("error.type", r.Code))
	}
	m.process.Record(ctx, took.Seconds(), metric.WithAttributes(about...))
}

// generated matches the names of queues without a name of the user's. A worker knows no more of them.
var generated = regexp.MustCompile(`\.[0-9a-f]{8}-[0-9a-f]{4}(\.[0-9]+)?$`)

// measured are the attributes of a measurement. The random names of unnamed queues would make as many
// series.
func measured(b seam.Batch, operation string) []attribute.KeyValue {
	where := attribute.String("messaging.destination.name", b.Queue)
	if b.Temporary || generated.MatchString(b.Queue) {
		where = attribute.Bool("messaging.destination.temporary", true)
	}
	return []attribute.KeyValue{attribute.String("messaging.system", "dqbridge"), attribute.String("messaging.operation.name", operation), where}
}
