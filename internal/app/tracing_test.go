package app

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestTracingIsAskedFor(t *testing.T) {
	t.Parallel()
	at := func(more ...string) map[string]string {
		variables := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
		for _, variable := range more {
			name, value, _ := strings.Cut(variable, "=")
			variables[name] = value
		}
		return variables
	}
	for name, test := range map[string]struct {
		variables map[string]string
		traces    bool
		want      string // the error
	}{
		"nothing":          {nil, false, ""},
		"an endpoint":      {at(), true, ""},
		"disabled":         {at("OTEL_SDK_DISABLED=true"), false, ""},
		"no exporter":      {at("OTEL_TRACES_EXPORTER=none"), false, ""},
		"another exporter": {at("OTEL_TRACES_EXPORTER=zipkin"), false, "OTEL_TRACES_EXPORTER: want otlp or none"},
		"another protocol": {at("OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), false, "want http/protobuf"},
	} {
		t.Run(name, func(t *testing.T) {
			getenv := func(name string) string { return test.variables[name] }
			tracer, stop, err := startTracing(t.Context(), getenv, "test", slog.New(slog.DiscardHandler))
			if stop != nil {
				defer stop()
			}
			said := fmt.Sprint(err)
			if (tracer != nil) != test.traces || test.want == "" && err != nil || !strings.Contains(said, test.want) {
				t.Errorf("%v, %v", tracer, err)
			}
		})
	}
}
