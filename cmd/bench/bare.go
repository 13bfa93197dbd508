package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// bareArgument makes this program the bare server. It is not for people.
const bareArgument = "serve-bare"

// serveBare answers GET /api/user with the same bytes each time: 500, most of them a token, as with Conduit.
func serveBare(ctx context.Context, stdout io.Writer) error {
	body := fmt.Appendf(nil,
		`{"user":{"bio":null,"email":"jake@example.com","image":null,"token":"%s","username":"jake"}}`,
		strings.Repeat("x", 413))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/user", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(body)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Fprintf(stdout, "API  http://%s/api\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
