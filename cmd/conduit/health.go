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
		Short: "Ask whether a server on this machine is well",
		Long: `Ask whether a server on this machine is well, which is GET /healthz: print its answer, and fail unless it
is 200.

For containers, which have no other program to ask with, and for scripts that start a server and wait for it.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			address, err := app.LocalURL(listen)
			if err != nil {
				return badSetting("listen", err)
			}
			text, err := waitForHealth(cmd.Context(), address+"/healthz", wait)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}
	command.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "`HOST:PORT` that the server was told to listen on")
	command.Flags().DurationVar(&wait, "wait", 0, "how long to go on asking a server that is not well yet")
	return command
}

// waitForHealth asks until the server is well, or, when the time is over, returns what was wrong last.
func waitForHealth(ctx context.Context, url string, wait time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, max(wait, 5*time.Second)) // who is asked once has some time to answer
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
