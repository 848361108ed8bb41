package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/tracing"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A recorder keeps the spans of all processes of a test.
type recorder struct {
	*tracetest.InMemoryExporter
	provider *sdk.TracerProvider
}

func record(t *testing.T, sampler sdk.Sampler) recorder {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	return recorder{exporter, sdk.NewTracerProvider(sdk.WithSyncer(exporter), sdk.WithSampler(sampler))}
}

// root begins a span of the program.
func (r recorder) root(ctx context.Context, name string) (context.Context, trace.Span) {
	return r.provider.Tracer("program").Start(ctx, name)
}

// named returns the spans with a name, in the order in which they ended.
func (r recorder) named(name string) (found []tracetest.SpanStub) {
	for _, span := range r.GetSpans() {
		if span.Name == name {
			found = append(found, span)
		}
	}
	return found
}

// names returns the names of all spans, sorted, each once.
func (r recorder) names() string {
	var names []string
	for _, span := range r.GetSpans() {
		names = append(names, span.Name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// behind fails the test unless a span is a child of another one, and has a link to it.
func behind(t *testing.T, span, above tracetest.SpanStub) {
	t.Helper()
	if span.SpanContext.TraceID() != above.SpanContext.TraceID() || span.Parent.SpanID() != above.SpanContext.SpanID() {
		t.Errorf("%s is a child of %v of %v, not of %s", span.Name, span.Parent.SpanID(), span.Parent.TraceID(), above.Name)
	}
	if !slices.ContainsFunc(span.Links, func(l sdk.Link) bool { return l.SpanContext.SpanID() == above.SpanContext.SpanID() }) {
		t.Errorf("%s has the links %v, none to %s", span.Name, span.Links, above.Name)
	}
}

// value returns an attribute of a span.
func value(span tracetest.SpanStub, key string) any {
	for _, a := range span.Attributes {
		if a.Key == attribute.Key(key) {
			return a.Value.AsInterface()
		}
	}
	return nil
}

// gathered returns the values and the failures of a queue.
func gathered[T any](t *testing.T, q *executor.Queue[T], err error) (values []T, failed int) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for v, err := range bridge.All(t.Context(), q) {
		switch {
		case bridge.IsItemError(err):
			failed++
		case err != nil:
			t.Fatal(err)
		default:
			values = append(values, v)
		}
	}
	return values, failed
}

// One trace leads from the scatter over both stages, fused or not, to the gather.
func TestOneTraceFromScatterToGather(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{"fused": nil, "apart": {executor.NoFuse()}} {
		t.Run(name, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				r := record(t, sdk.AlwaysSample())
				first := workers.Define("first", func(ctx context.Context, n int) (int, error) {
					_, span := r.root(ctx, "inside")
					span.End()
					return n + 1, nil
				})
				second := workers.Define("second", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
				ex, _ := f.StartExecutor(tracing.Executor(r.provider))
				f.StartWorker(workers.Functions(first, second), tracing.Worker(r.provider))
				ctx, span := r.root(t.Context(), "program")
				q, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2, 3}), bridge.Name("in"), bridge.Seal(), bridge.MaxBatch(1))
				span.End()
				between, err2 := executor.Map(t.Context(), first, q, opts...)
				out, err3 := executor.Map(t.Context(), second, between, opts...)
				if got, _ := gathered(t, out, errors.Join(err, err2, err3)); !slices.Equal(got, []int{4, 6, 8}) {
					t.Errorf("the results are %v", got)
				}
				if want := "inside, process first, process second, program, receive in.first.second, send in"; r.names() != want {
					t.Errorf("the spans are %s", r.names())
				}
				r.inOneTrace(t)
				for _, queue := range []string{"in.first.second", "in.first", "in"} {
					if err := ex.Delete(t.Context(), queue); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// inOneTrace looks at the spans of three batches.
func (r recorder) inOneTrace(t *testing.T) {
	t.Helper()
	sends := r.named("send in")
	if len(sends) != 3 || sends[0].Parent.SpanID() != r.named("program")[0].SpanContext.SpanID() || sends[0].SpanKind != trace.SpanKindProducer {
		t.Fatalf("the batches are sent by %+v", sends)
	}
	for _, name := range []string{"process first", "process second", "receive in.first.second"} {
		spans := r.named(name)
		if len(spans) != 3 {
			t.Errorf("%d spans %s", len(spans), name)
		}
		for i, span := range spans {
			at := slices.IndexFunc(sends, func(s tracetest.SpanStub) bool { return value(s, "dqbridge.offset") == value(span, "dqbridge.offset") })
			behind(t, span, sends[at])
			if span.SpanKind != trace.SpanKindConsumer || span.Status.Code == codes.Error {
				t.Errorf("span %d of %s is %+v", i, name, span)
			}
		}
	}
	for key, want := range map[string]any{
		"messaging.system": "dqbridge", "messaging.destination.name": "in", "messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.batch.message_count": int64(1), "messaging.consumer.group.name": "w", "dqbridge.attempt": int64(1), "dqbridge.function": "first", "error.type": nil,
	} {
		if got := value(r.named("process first")[0], key); got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if inside := r.named("inside"); inside[0].Parent.SpanID() != r.named("process first")[0].SpanContext.SpanID() {
		t.Errorf("the span of the function is a child of %v", inside[0].Parent.SpanID())
	}
}

// Each attempt has a span of its own in the trace. One that failed names the code of the failure.
func TestRetriesStayInTheTrace(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		r := record(t, sdk.AlwaysSample())
		tries := 0
		flaky := workers.Define("flaky", func(_ context.Context, n int) (int, error) {
			if tries++; tries == 1 {
				return 0, errors.New("not yet")
			}
			return n, nil
		})
		ex, _ := f.StartExecutor(tracing.Executor(r.provider))
		f.StartWorker(workers.Functions(flaky), tracing.Worker(r.provider))
		ctx, span := r.root(t.Context(), "program")
		q, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{7}))
		span.End()
		out, err2 := executor.Map(t.Context(), flaky, q, executor.Retries(2))
		gathered(t, out, errors.Join(err, err2))
		sends, calls := r.named("send (temporary)"), r.named("process flaky")
		if len(sends) != 1 || len(calls) != 2 || len(r.named("receive (temporary)")) != 1 {
			t.Fatalf("%d sends, %d calls, all: %s", len(sends), len(calls), r.names())
		}
		for i, call := range calls {
			behind(t, call, sends[0])
			if value(call, "dqbridge.attempt") != int64(i+1) {
				t.Errorf("call %d has %v", i, call.Attributes)
			}
		}
		if calls[0].Status.Code != codes.Error || value(calls[0], "error.type") != "error" || calls[1].Status.Code == codes.Error {
			t.Errorf("the calls end with %+v and %+v", calls[0].Status, calls[1].Status)
		}
	})
}

// A trace goes on in the worker that takes over from one that has died.
func TestTraceGoesOnAfterTheDeathOfAWorker(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		r := record(t, sdk.AlwaysSample())
		deadly := workers.Define("deadly", func(ctx context.Context, n int) (int, error) {
			if n == 1 {
				<-ctx.Done()
			}
			return n, ctx.Err()
		})
		safe := workers.Define("deadly", func(_ context.Context, n int) (int, error) { return n, nil })
		ex, _ := f.StartExecutor(tracing.Executor(r.provider))
		first := f.StartWorker(workers.Functions(deadly), workers.Concurrency(1), tracing.Worker(r.provider))
		ctx, span := r.root(t.Context(), "program")
		q, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2, 3}), bridge.MaxBatch(3))
		span.End()
		out, err2 := executor.Map(t.Context(), deadly, q)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		first.Kill()
		f.StartWorker(workers.Functions(safe), tracing.Worker(r.provider))
		if got, failed := gathered(t, out, nil); !slices.Equal(got, []int{1, 2, 3}) || failed > 0 {
			t.Errorf("got %v, %d failed", got, failed)
		}
		for _, name := range []string{"process deadly", "receive (temporary)"} {
			for _, span := range r.named(name) {
				if span.SpanContext.TraceID() != r.named("program")[0].SpanContext.TraceID() {
					t.Errorf("%s is in another trace", name)
				}
			}
			if len(r.named(name)) == 0 {
				t.Errorf("there is no span %s", name)
			}
		}
	})
}

// Values of several callers share a batch, and batches of several scatters a call. Their spans link to
// each of the traces.
func TestSharedBatchesLinkToEachTrace(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		r := record(t, sdk.AlwaysSample())
		all := workers.DefineBatch("all", func(_ context.Context, ns []int) ([]int, error) { return ns, nil }, workers.BatchSize(4, 4))
		ex, _ := f.StartExecutor(tracing.Executor(r.provider))
		p, err := bridge.NewProducer[int](t.Context(), ex, bridge.MaxBatch(2), bridge.Linger(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan error)
		for i := range 4 {
			go func() {
				ctx, span := r.root(t.Context(), fmt.Sprint("caller ", i))
				defer span.End()
				sent <- p.Send(ctx, i)
			}()
		}
		for range 4 {
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		out, err := executor.Map(t.Context(), all, p.Queue())
		f.StartWorker(workers.Functions(all), tracing.Worker(r.provider))
		p.Close()
		gathered(t, out, err)
		linked, inTraces := map[trace.SpanID]bool{}, map[trace.TraceID]bool{}
		for _, call := range r.named("process all") {
			for _, link := range call.Links {
				linked[link.SpanContext.SpanID()], inTraces[link.SpanContext.TraceID()] = true, true
			}
		}
		sends := r.named("send (temporary)")
		for _, span := range sends {
			if !linked[span.SpanContext.SpanID()] {
				t.Errorf("no call links to %v", span.SpanContext.SpanID())
			}
		}
		if len(sends) != 4 || len(inTraces) != 4 {
			t.Errorf("%d sends, the calls link to %d traces", len(sends), len(inTraces))
		}
	})
}

// Without a sampled span, a batch has no trace and no span.
func TestUnsampledBatchesHaveNoSpan(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		r := record(t, sdk.NeverSample())
		sampled := record(t, sdk.AlwaysSample())
		double := workers.Define("double", func(ctx context.Context, n int) (int, error) {
			if trace.SpanContextFromContext(ctx).IsValid() {
				return 0, errors.New("the context has a span")
			}
			return 2 * n, nil
		})
		ex, _ := f.StartExecutor(tracing.Executor(sampled.provider))
		f.StartWorker(workers.Functions(double), tracing.Worker(sampled.provider))
		ctx, span := r.root(t.Context(), "program")
		q, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2}))
		span.End()
		out, err2 := executor.Map(t.Context(), double, q)
		if got, failed := gathered(t, out, errors.Join(err, err2)); failed > 0 || !slices.Equal(got, []int{2, 4}) {
			t.Errorf("got %v, %d failed", got, failed)
		}
		if names := r.names() + sampled.names(); names != "" {
			t.Errorf("the spans are %s", names)
		}
	})
}

// The call of a single function is in the trace of its caller.
func TestFuturesAreTraced(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		r := record(t, sdk.AlwaysSample())
		double := workers.Define("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
		ex, _ := f.StartExecutor(tracing.Executor(r.provider))
		f.StartWorker(workers.Functions(double), tracing.Worker(r.provider))
		ctx, span := r.root(t.Context(), "program")
		future, err := executor.Submit(ctx, ex, double, 4)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := future.Result(ctx); err != nil || v != 8 {
			t.Errorf("got %v, %v", v, err)
		}
		span.End()
		if sends, calls := r.named("send (temporary)"), r.named("process double"); len(sends) != 1 || len(calls) != 1 {
			t.Errorf("the spans are %s", r.names())
		} else {
			behind(t, calls[0], sends[0])
		}
	})
}

func TestNoProviderIsAnError(t *testing.T) {
	t.Parallel()
	if ex, err := executor.New(t.Context(), "", tracing.Executor(nil)); err == nil || !strings.Contains(err.Error(), "TracerProvider is nil") {
		t.Errorf("an executor %v, %v", ex, err)
	}
	if w, err := workers.New("redis://127.0.0.1", tracing.Worker(nil)); err == nil || !strings.Contains(err.Error(), "TracerProvider is nil") {
		t.Errorf("a worker %v, %v", w, err)
	}
}

// The metrics count each item once where it is stored, run and delivered, and measure each call, without
// a span. Queues without names of their own share a series.
func TestMetricsNeedNoSpan(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		reader := sdkmetric.NewManualReader()
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		half := workers.Define("half", func(_ context.Context, n int) (int, error) {
			if n%2 == 1 {
				return 0, errors.New("odd")
			}
			return n / 2, nil
		})
		ex, _ := f.StartExecutor(tracing.ExecutorMetrics(provider))
		f.StartWorker(workers.Functions(half), tracing.WorkerMetrics(provider))
		for _, opts := range [][]bridge.ScatterOption{{bridge.Name("in"), bridge.Seal()}, nil, nil} {
			q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{1, 2, 4, 6}), opts...)
			out, err2 := executor.Map(t.Context(), half, q)
			if got, failed := gathered(t, out, errors.Join(err, err2)); failed != 1 || !slices.Equal(got, []int{1, 2, 3}) {
				t.Errorf("got %v, %d failed", got, failed)
			}
		}
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		counts := counted(all)
		for series, want := range map[string]int64{
			"messaging.client.sent.messages send in": 4, "messaging.client.sent.messages send ": 8,
			"messaging.client.consumed.messages process in": 4, "messaging.client.consumed.messages process ": 8,
			"messaging.client.consumed.messages receive in.half": 4, "messaging.client.consumed.messages receive ": 8,
		} {
			if counts[series] != want {
				t.Errorf("%s is %d, want %d", series, counts[series], want)
			}
		}
		if calls, failed := counts["messaging.process.duration process in"], counts["messaging.process.duration process in error"]; calls+failed < 1 || failed < 1 {
			t.Errorf("%d calls, %d failed, of %v", calls, failed, counts)
		}
		for _, queue := range []string{"in.half", "in"} {
			if err := ex.Delete(t.Context(), queue); err != nil {
				t.Error(err)
			}
		}
	})
}

// counted returns the numbers of all series by their name, operation, queue and error.
func counted(all metricdata.ResourceMetrics) map[string]int64 {
	found := map[string]int64{}
	name := func(m metricdata.Metrics, about attribute.Set) string {
		parts := []string{m.Name}
		for _, key := range []attribute.Key{"messaging.operation.name", "messaging.destination.name", "error.type"} {
			if v, ok := about.Value(key); ok || key == "messaging.destination.name" {
				parts = append(parts, v.AsString())
			}
		}
		return strings.Join(parts, " ")
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					found[name(m, p.Attributes)] += p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					found[name(m, p.Attributes)] += int64(p.Count)
				}
			}
		}
	}
	return found
}

func TestNoMeterProviderIsAnError(t *testing.T) {
	t.Parallel()
	if ex, err := executor.New(t.Context(), "", tracing.ExecutorMetrics(nil)); err == nil || !strings.Contains(err.Error(), "MeterProvider is nil") {
		t.Errorf("an executor %v, %v", ex, err)
	}
	if w, err := workers.New("redis://127.0.0.1", tracing.WorkerMetrics(nil)); err == nil || !strings.Contains(err.Error(), "MeterProvider is nil") {
		t.Errorf("a worker %v, %v", w, err)
	}
}
