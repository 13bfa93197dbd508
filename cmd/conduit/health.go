package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/app"
)

func healthCommand() *cobra.Command {
	var listen string
	var wait time.Duration
	command := &cobra.Command{
		Use:   "health",
		Short: "Ask a server on this machine whether it is well",
		Long: `Ask a server on this machine whether it is well, by GET /healthz. Print its answer, and fail unless
it is 200.

Containers that hold no other program can ask by this one. So can scripts that start a server and wait for it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			origin, err := app.LocalURL(listen)
			if err != nil {
				return badSetting("listen", err)
			}
			text, err := waitForHealth(cmd.Context(), origin+"/healthz", wait)
			return saying(cmd, err, "%s", text)
		},
	}
	command.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "the server's --listen, a `HOST:PORT`")
	command.Flags().DurationVar(&wait, "wait", 0, "how long to go on asking until the server is well")
	return command
}

// waitForHealth asks until the server is well. When the time is over, it returns what was wrong last.
func waitForHealth(ctx context.Context, url string, wait time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, max(wait, 5*time.Second)) // a single answer may take some time
	defer cancel()
	began := time.Now()
	for {
		text, err := askHealth(ctx, url)
		if err == nil || time.Since(began) >= wait {
			return text, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func askHealth(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	direct := http.Client{Transport: &http.Transport{}} // through no proxy, and with no connection left open
	defer direct.CloseIdleConnections()
	response, err := direct.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", url, response.Status, text)
	}
	return string(text), err
}
