// Package telemetry exports the spans of a command as the OTEL_* variables of its environment ask.
package telemetry

import (
	"cmp"
	"context"
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
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
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

// Traces are the spans of a command. The zero value makes none.
type Traces struct {
	provider *sdk.TracerProvider
	log      *slog.Logger
}

// Open returns the Traces of a command, by the OTEL_* variables. Without a variable that asks for
// traces it starts no goroutine and opens no connection. An unusable value is an error. The console
// is stderr, since stdout has the results. The caller closes the Traces.
func Open(ctx context.Context, command string, stderr io.Writer, log *slog.Logger) (Traces, error) {
	kind, err := exporterKind()
	if err != nil || kind == exporterNone {
		return Traces{}, err
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", command), attribute.String("service.version", connection.Version()),
	), resource.WithFromEnv())
	if err != nil {
		return Traces{}, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	var exporter sdk.SpanExporter
	if kind == exporterConsole {
		exporter, err = stdouttrace.New(stdouttrace.WithWriter(stderr))
	} else {
		exporter, err = otlptracehttp.New(ctx)
	}
	if err != nil {
		return Traces{}, fmt.Errorf("the exporter %s of traces: %w", kind, err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are not exported", "err", err) }))
	return Traces{sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about)), log}, nil
}

// exporterKind returns the exporter that the variables ask for, after a check of the variables of
// which the SDK would only log that it ignores them.
func exporterKind() (string, error) {
	kind := os.Getenv("OTEL_TRACES_EXPORTER")
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	switch {
	case strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"), kind == "" && endpoint == "", kind == exporterNone:
		return exporterNone, nil
	case kind == "":
		kind = exporterOTLP
	case kind != exporterOTLP && kind != exporterConsole:
		return "", fmt.Errorf("OTEL_TRACES_EXPORTER is %q: the commands have otlp, console and none", kind)
	}
	if sampler := os.Getenv("OTEL_TRACES_SAMPLER"); sampler != "" && !slices.Contains(samplers, sampler) {
		return "", fmt.Errorf("OTEL_TRACES_SAMPLER is %q: it must be one of %s", sampler, strings.Join(samplers, ", "))
	}
	if kind == exporterConsole {
		return kind, nil
	}
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
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
func (t Traces) Executor() []executor.Option {
	if t.provider == nil {
		return nil
	}
	return []executor.Option{tracing.Executor(t.provider)}
}

// Worker returns the options of the worker of the command.
func (t Traces) Worker() []workers.Option {
	if t.provider == nil {
		return nil
	}
	return []workers.Option{tracing.Worker(t.provider)}
}

// Begin begins the span of the whole command. Its batches are children of it.
func (t Traces) Begin(ctx context.Context, name string) (_ context.Context, end func(error)) {
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

// Close exports the spans that are left, for at most 5 s.
func (t Traces) Close() {
	if t.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last traces are not exported", "err", err)
	}
}
