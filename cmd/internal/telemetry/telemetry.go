// Package telemetry exports the spans and the metrics of a command as the OTEL_* variables of its
// environment ask.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/tracing"
	"github.com/dqbridge/dqbridge/workers"
)

// closeLimit bounds the export of the last spans.
const closeLimit = 5 * time.Second

// The exporters of OTEL_TRACES_EXPORTER.
const (
	exporterNone    = "none"
	exporterOTLP    = "otlp"
	exporterConsole = "console"
)

// samplers are the values of OTEL_TRACES_SAMPLER. The SDK would replace another one by its default.
var samplers = []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"}

// Signals are the spans and the metrics of a command. The zero value makes none.
type Signals struct {
	provider *sdk.TracerProvider      // nil: no traces
	meters   *sdkmetric.MeterProvider // nil: no metrics
	log      *slog.Logger
}

// Open returns the Signals of a command, by the OTEL_* variables. Without a variable that asks for
// traces or metrics it starts no goroutine and opens no connection. An unusable value is an error. The
// console is stderr, since stdout has the results. The caller closes the Signals.
func Open(ctx context.Context, command string, stderr io.Writer, log *slog.Logger) (Signals, error) {
	traces, err := exporterKind("TRACES")
	if err != nil {
		return Signals{}, err
	}
	metrics, err := exporterKind("METRICS")
	if err != nil || traces == exporterNone && metrics == exporterNone {
		return Signals{}, err
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", command), attribute.String("service.version", connection.Version()),
	), resource.WithFromEnv())
	if err != nil {
		return Signals{}, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry is not exported", "err", err) }))
	opened := Signals{log: log}
	if opened.provider, err = openTraces(ctx, traces, stderr, about); err != nil {
		return Signals{}, err
	}
	if opened.meters, err = openMetrics(ctx, metrics, stderr, about); err != nil {
		return Signals{}, errors.Join(err, opened.shutdown(ctx))
	}
	return opened, nil
}

func openTraces(ctx context.Context, kind string, stderr io.Writer, about *resource.Resource) (*sdk.TracerProvider, error) {
	var exporter sdk.SpanExporter
	var err error
	switch kind {
	case exporterNone:
		return nil, nil
	case exporterConsole:
		exporter, err = stdouttrace.New(stdouttrace.WithWriter(stderr))
	default:
		exporter, err = otlptracehttp.New(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("the exporter %s of traces: %w", kind, err)
	}
	return sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about)), nil
}

func openMetrics(ctx context.Context, kind string, stderr io.Writer, about *resource.Resource) (*sdkmetric.MeterProvider, error) {
	var exporter sdkmetric.Exporter
	var err error
	switch kind {
	case exporterNone:
		return nil, nil
	case exporterConsole:
		exporter, err = stdoutmetric.New(stdoutmetric.WithWriter(stderr))
	default:
		exporter, err = otlpmetrichttp.New(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("the exporter %s of metrics: %w", kind, err)
	}
	return sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)), sdkmetric.WithResource(about)), nil
}

// exporterKind returns the exporter that the variables ask for, of TRACES or METRICS, after a check of
// the variables of which the SDK would only log that it ignores them.
func exporterKind(signal string) (string, error) {
	kind := os.Getenv("OTEL_" + signal + "_EXPORTER")
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	switch {
	case strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"), kind == "" && endpoint == "", kind == exporterNone:
		return exporterNone, nil
	case kind == "":
		kind = exporterOTLP
	case kind != exporterOTLP && kind != exporterConsole:
		return "", fmt.Errorf("OTEL_%s_EXPORTER is %q: the commands have otlp, console and none", signal, kind)
	}
	if sampler := os.Getenv("OTEL_TRACES_SAMPLER"); sampler != "" && !slices.Contains(samplers, sampler) {
		return "", fmt.Errorf("OTEL_TRACES_SAMPLER is %q: it must be one of %s", sampler, strings.Join(samplers, ", "))
	}
	if kind == exporterConsole {
		return kind, nil
	}
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
	if protocol != "http/protobuf" {
		return "", fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: the commands have http/protobuf, on port 4318 of most collectors", protocol)
	}
	at, err := url.Parse(endpoint)
	if endpoint != "" && (err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "") {
		return "", fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT is no URL such as http://127.0.0.1:4318: %q", endpoint)
	}
	return kind, nil
}

// Executor returns the options of the Executor of the command.
func (t Signals) Executor() (opts []executor.Option) {
	if t.provider != nil {
		opts = append(opts, tracing.Executor(t.provider))
	}
	if t.meters != nil {
		opts = append(opts, tracing.ExecutorMetrics(t.meters))
	}
	return opts
}

// Worker returns the options of the worker of the command.
func (t Signals) Worker() (opts []workers.Option) {
	if t.provider != nil {
		opts = append(opts, tracing.Worker(t.provider))
	}
	if t.meters != nil {
		opts = append(opts, tracing.WorkerMetrics(t.meters))
	}
	return opts
}

// Begin begins the span of the whole command. Its batches are children of it.
func (t Signals) Begin(ctx context.Context, name string) (_ context.Context, end func(error)) {
	if t.provider == nil {
		return ctx, func(error) {}
	}
	ctx, span := t.provider.Tracer("github.com/dqbridge/dqbridge/cmd").Start(ctx, name)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// Close exports the spans and the counts that are left, for at most 5 s.
func (t Signals) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if err := t.shutdown(ctx); err != nil {
		t.log.Warn("the last telemetry is not exported", "err", err)
	}
}

func (t Signals) shutdown(ctx context.Context) (err error) {
	if t.provider != nil {
		err = t.provider.Shutdown(ctx)
	}
	if t.meters != nil {
		err = errors.Join(err, t.meters.Shutdown(ctx))
	}
	return err
}
