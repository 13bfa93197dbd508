package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// limitedProgram starts the program with so many file descriptors, and returns it with the lines of its log.
func limitedProgram(t *testing.T, files int, flags ...string) (i instance, log <-chan string) {
	t.Helper()
	flags = append([]string{"serve", "--listen=127.0.0.1:0", "--database=sqlite::memory:"}, flags...)
	command := ownProcess(t, flags...)
	command.Args = append([]string{"sh", "-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(files)}, command.Args...)
	command.Path = "/bin/sh"
	stderr, err := command.StderrPipe()
	must(t, err)
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return serveInProcess(t, command), lines
}

// connect opens connections that send nothing.
func (i instance) connect(t *testing.T, count int) (held []net.Conn) {
	t.Helper()
	for range count {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", i.hostPort())
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		held = append(held, conn)
	}
	return held
}

// serves returns whether a client with this loopback IP address is served, over a connection of its own.
func (i instance) serves(ctx context.Context, ipAddress string) bool {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ipAddress)}}
	i.client.Transport = &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	got, err := i.send(ctx, "GET /tags", "", "")
	return err == nil && got.status == http.StatusOK
}

// TestOneClientsConnections: a client that opens all connections it can get gets a quarter, and others are served.
func TestOneClientsConnections(t *testing.T) {
	t.Parallel()
	i, log := limitedProgram(t, 160) // so 80 connections are taken, 20 of one network
	held := i.connect(t, 60)
	refused := 0
	for _, conn := range held[20:] {
		if answer, err := io.ReadAll(conn); err == nil && strings.HasPrefix(string(answer), "HTTP/1.1 503 ") &&
			strings.Contains(string(answer), `{"errors":{"server":["has too many connections"]}}`) {
			refused++
		}
	}
	if refused != 40 {
		t.Errorf("of 60 connections %d were refused, want 40", refused)
	}
	if !i.serves(t.Context(), "127.0.0.2") {
		t.Error("another client is not served")
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	for !i.serves(t.Context(), "127.0.0.1") && t.Context().Err() == nil { // until the server has noticed
	}
	warnings := 0
	for len(log) > 0 {
		if line := <-log; strings.Contains(line, "level=WARN") {
			warnings++
			wantWords(t, line, "--trusted-proxies", "network=127.0.0.1")
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings, want 1", warnings)
	}
}

// TestNoFileDescriptors: the log warns once if there are fewer file descriptors than connections allowed. The server
// goes on afterwards.
func TestNoFileDescriptors(t *testing.T) {
	t.Parallel()
	i, log := limitedProgram(t, 48, "--max-connections=1000", "--max-connections-per-network=1000")
	held := i.connect(t, 60)
	warning := ""
	for line := range log {
		if strings.Contains(line, "no file descriptors are left") {
			warning = line
			break
		}
	}
	wantWords(t, warning, "level=WARN", "ulimit", " open=")
	time.AfterFunc(3*time.Second, func() { // while net/http tries again and again
		for _, conn := range held {
			_ = conn.Close()
		}
	})
	if !i.serves(t.Context(), "127.0.0.2") {
		t.Error("nobody is served afterwards")
	}
	for len(log) > 0 {
		if line := <-log; strings.Contains(line, "level=WARN") {
			t.Errorf("once more: %s", line)
		}
	}
}
