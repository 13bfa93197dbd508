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

// limitedProgram starts the program with so many file descriptors, and returns where it listens and its log, a line
// each.
func limitedProgram(t *testing.T, files int, flags ...string) (address string, log <-chan string) {
	t.Helper()
	flags = append([]string{"serve", "--listen=127.0.0.1:0", "--database=sqlite::memory:"}, flags...)
	command := ownProcess(t, flags...)
	command.Path, command.Args = "/bin/sh", append([]string{
		"sh", "-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(files),
	}, command.Args...)
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
		if fields := strings.Fields(scanner.Text()); len(fields) == 2 && fields[0] == "API" {
			return strings.TrimSuffix(strings.TrimPrefix(fields[1], "http://"), "/api"), lines
		}
	}
	t.Fatal("did not start")
	return "", nil
}

// clientFrom is a client with an IP address of loopback.
func clientFrom(ipAddress string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ipAddress)}}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
}

func ask(ctx context.Context, client *http.Client, address string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/api/tags", nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// TestOneClientsConnections: who opens as many connections as they can get gets a quarter, and others are served.
func TestOneClientsConnections(t *testing.T) {
	t.Parallel()
	address, log := limitedProgram(t, 160) // so 80 connections are taken, 20 of one network
	var held []net.Conn
	refused := 0
	for range 60 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		held = append(held, conn)
	}
	for _, conn := range held[20:] {
		if answer, err := io.ReadAll(conn); err == nil && strings.HasPrefix(string(answer), "HTTP/1.1 503 ") &&
			strings.Contains(string(answer), `{"errors":{"server":["has too many connections"]}}`) {
			refused++
		}
	}
	if refused != 40 {
		t.Errorf("of 60 connections %d were refused, want 40", refused)
	}
	if status, err := ask(t.Context(), clientFrom("127.0.0.2"), address); err != nil || status != http.StatusOK {
		t.Errorf("another client: %d %v", status, err)
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	for { // as soon as the server has noticed
		if status, err := ask(t.Context(), clientFrom("127.0.0.1"), address); err == nil && status == http.StatusOK {
			break
		}
	}
	warnings := 0
	for len(log) > 0 {
		if line := <-log; strings.Contains(line, "level=WARN") {
			warnings++
			if !strings.Contains(line, "--trusted-proxies") || !strings.Contains(line, "network=127.0.0.1") {
				t.Error(line)
			}
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings, want 1", warnings)
	}
}

// TestNoFileDescriptors: whoever allows more connections than there are file descriptors is told, and all goes on
// afterwards.
func TestNoFileDescriptors(t *testing.T) {
	t.Parallel()
	address, log := limitedProgram(t, 48, "--max-connections=1000", "--max-connections-per-network=1000")
	var held []net.Conn
	for range 60 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	warning := ""
	for line := range log {
		if strings.Contains(line, "no file descriptors are left") {
			warning = line
			break
		}
	}
	for _, want := range []string{"level=WARN", "ulimit", " open="} {
		if !strings.Contains(warning, want) {
			t.Errorf("the warning lacks %q: %s", want, warning)
		}
	}
	time.AfterFunc(3*time.Second, func() { // while net/http tries again and again
		for _, conn := range held {
			_ = conn.Close()
		}
	})
	if status, err := ask(t.Context(), clientFrom("127.0.0.2"), address); err != nil || status != http.StatusOK {
		t.Errorf("afterwards: %d %v", status, err)
	}
	for len(log) > 0 {
		if line := <-log; strings.Contains(line, "level=WARN") {
			t.Errorf("once more: %s", line)
		}
	}
}
