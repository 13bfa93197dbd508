package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"conduit/internal/metrics"
)

// metricsHostPort returns the HOST:PORT that --metrics-listen means. A port alone is one of loopback, where no stranger
// scrapes.
func metricsHostPort(text string) (string, error) {
	if !strings.Contains(text, ":") {
		text = ":" + text
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || port == "" {
		return "", errors.New("want PORT, which is one of 127.0.0.1, or HOST:PORT")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// serveMetrics answers scrapes at GET /metrics until stop is called. If listen is empty it does nothing, and so does
// stop.
func serveMetrics(ctx context.Context, listen string, m *metrics.Metrics, log *slog.Logger) (stop func(), err error) {
	if listen == "" {
		return func() {}, nil
	}
	hostPort, err := metricsHostPort(listen)
	if err != nil {
		return nil, wrong("metrics-listen", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", hostPort)
	if err != nil {
		return nil, wrong("metrics-listen", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	server := &http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	log.Info("serving metrics", "url", "http://"+listener.Addr().String()+"/metrics")
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", "error", err)
		}
	}()
	return func() { _ = server.Close() }, nil
}
