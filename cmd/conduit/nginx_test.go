package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// behindNginx starts a real nginx in front of two instances, which may be one twice, and returns what clients reach
// through it: https://example.com, in the clear. It has the configuration that docs/proxies.md shows, but for where it
// listens and TLS. Changes of the configuration are pairs of an old and a new text.
func behindNginx(t *testing.T, instances [2]string, changes ...string) instance {
	t.Helper()
	program := os.Getenv("NGINX")
	if program == "" {
		program = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("nginx is needed (tools/ensure-nginx.sh, or the variable NGINX): %v", err)
	}
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindStringSubmatch(document(t, "proxies.md"))
	if block == nil {
		t.Fatal("docs/proxies.md has no configuration of nginx")
	}
	folder, err := os.MkdirTemp("", "nginx") // not t.TempDir, which may be too long for a socket
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket := filepath.Join(folder, "s")
	site := regexp.MustCompile(`(?m)^ +ssl_certificate.*\n`).ReplaceAllString(block[1], "")
	changes = append([]string{
		"listen 443 ssl;", "listen unix:" + socket + ";",
		"127.0.0.1:8080", instances[0], "127.0.0.1:8081", instances[1],
	}, changes...)
	for change := range slices.Chunk(changes, 2) {
		if !strings.Contains(site, change[0]) {
			t.Fatalf("the configuration in docs/proxies.md lacks %q", change[0])
		}
		site = strings.Replace(site, change[0], change[1], 1)
	}
	config := "daemon off; master_process off; pid " + folder + "/pid; events {}\nhttp { access_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += kind + "_temp_path " + folder + "/" + kind + ";\n"
	}
	file := filepath.Join(folder, "nginx.conf")
	must(t, os.WriteFile(file, []byte(config+site+"}\n"), 0o600))
	log := filepath.Join(folder, "error.log")
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, program, "-p", folder, "-e", log, "-c", file)
	var said strings.Builder
	command.Stdout, command.Stderr = &said, &said
	must(t, command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err == nil {
			t.Error("nginx ended by itself")
		}
	})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	for {
		conn, err := dial(t.Context(), "", "")
		if err == nil {
			_ = conn.Close()
			break
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v: %s", err, &said)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Cleanup(func() {
		if text, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("nginx: %s", text)
		}
	})
	return instance{url: "http://example.com", client: http.Client{
		Transport:     &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 16},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// TestBehindNginx: all links lead below the public URL, whether nginx strips its path or not.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	const public = "https://example.com/blog"
	i := serveOn(t, "sqlite::memory:", "", "--public-url="+public+"/", "--trusted-proxies=127.0.0.1", "--demo")
	wantWords(t, i.banner, "API       "+public+"/api\n", "Docs      "+public+"/docs\n",
		"Keys      "+public+"/.well-known/jwks.json\n", "Listens   http://127.0.0.1:")
	for name, changes := range map[string][]string{
		"left":     nil,
		"stripped": {"/blog/ {\n        proxy_pass http://conduit;", "/blog/ {\n        proxy_pass http://conduit/;"},
	} {
		t.Run(name, func(t *testing.T) {
			n := behindNginx(t, [2]string{i.hostPort(), i.hostPort()}, changes...)
			leads := func(got reply, want string) {
				t.Helper()
				to := got.leads
				if to == nil || strings.TrimRight(to.Path, "0123456789") != want || to.Host != "example.com" {
					t.Fatalf("led to %v, want %s", to, want)
				}
			}
			registered := n.reply(t, 201, "POST /blog/api/users", "", account(name))
			leads(registered, "/blog/api/user")
			token := tokenIn(t, registered.text)
			n.want(t, 200, "GET "+registered.leads.Path, token)
			published := n.reply(t, 201, "POST /blog/api/articles/", token,
				fmt.Sprintf(`{"article":{"title":%q,"description":"d","body":"b"}}`, name))
			leads(published, "/blog/api/articles/"+name)
			n.want(t, 200, "GET "+published.leads.Path, "")
			commented := n.reply(t, 201, "POST "+published.leads.Path+"/comments", token, `{"comment":{"body":"b"}}`)
			leads(commented, "/blog/api/articles/"+name+"/comments/") // and a number
			for _, from := range []string{"/blog", "/blog/", "/blog/docs/"} {
				leads(n.reply(t, 302, "GET "+from, ""), "/blog/docs")
			}
			for _, file := range []string{
				"/blog/docs", "/blog/docs/docs.js", "/blog/avatars/1.svg", "/blog/healthz",
				"/blog/.well-known/jwks.json",
			} {
				n.want(t, 200, "GET "+file, "")
			}
			n.want(t, 404, "GET /api/tags", "")
			wantWords(t, n.want(t, 200, "GET /blog/openapi.yaml", ""), "\n  - url: "+public+"/api\n")
			for _, place := range []string{
				"/.well-known/oauth-authorization-server/blog", "/blog/.well-known/oauth-authorization-server",
			} {
				wantWords(t, n.want(t, 200, "GET "+place, ""), `"issuer":"`+public+`"`,
					`"jwks_uri":"`+public+`/.well-known/jwks.json"`)
			}
			if changes == nil { // an encoded slash is not lost
				wantWords(t, n.want(t, 404, "GET /blog/api/profiles/a%2Fb", ""), `"profile":[`)
			}
			large := `{"user":"` + strings.Repeat("x", 1<<20+1) + `"}`
			wantWords(t, n.want(t, 413, "PUT /blog/api/user", token, large), `"body":["is too large`)
		})
	}
}
