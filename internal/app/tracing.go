package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// flushTime is how long the program waits at its end for a collector to take the last spans.
const flushTime = 3 * time.Second

// startTracing sends spans to an OTLP collector if the standard variables name one (OpenTelemetry Environment Variable
// Specification). Else the tracer is nil. It returns a *WrongSetting for exporters other than OTLP and protocols other
// than HTTP with protobuf: gRPC would double the code that comes with the program.
func startTracing(
	ctx context.Context, getenv func(string) string, version string, log *slog.Logger,
) (trace.Tracer, func(), error) {
	if getenv == nil {
		return nil, func() {}, nil
	}
	const exporter, protocol = "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL"
	named := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), getenv("OTEL_EXPORTER_OTLP_ENDPOINT")) != ""
	switch asked := getenv(exporter); {
	case getenv("OTEL_SDK_DISABLED") == "true", asked == "none", asked == "" && !named:
		return nil, func() {}, nil
	case asked != "" && asked != "otlp":
		return nil, nil, wrongf("%s: want otlp or none", exporter)
	}
	spoken := cmp.Or(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv(protocol), "http/protobuf")
	if spoken != "http/protobuf" {
		return nil, nil, wrongf("%s: want http/protobuf, usually at port 4318", protocol)
	}
	client, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("tracing: %w", err)
	}
	described, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "conduit"), attribute.String("service.version", version),
	), resource.WithFromEnv())
	if err != nil {
		return nil, nil, wrongf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	rarely := rate.Sometimes{Interval: time.Minute} // a collector that is away fails every few seconds
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		rarely.Do(func() { log.Warn("tracing", "error", err) })
	}))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(client), sdktrace.WithResource(described))
	stop := func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
		defer cancel()
		if err := provider.Shutdown(ending); err != nil {
			log.Warn("the last spans were not sent", "error", err)
		}
	}
	return provider.Tracer("conduit"), stop, nil
}
