package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// nginx is a real one, with the configuration that docs/proxies.md shows, but for where it listens and TLS.
type nginx struct {
	client  *http.Client
	refused func() string // its log of errors
}

// startNginx starts one in front of the instances, which may be one twice. Changes of the configuration are pairs: what
// stands there, and what is to.
func startNginx(t *testing.T, instances [2]string, changes ...string) nginx {
	t.Helper()
	program := os.Getenv("NGINX")
	if program == "" {
		program = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("nginx is needed (tools/ensure-nginx.sh, or the variable NGINX): %v", err)
	}
	page, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/proxies.md has no configuration of nginx")
	}
	folder, err := os.MkdirTemp("", "nginx") // not t.TempDir, which may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket := filepath.Join(folder, "s")
	site := regexp.MustCompile(`(?m)^ +ssl_certificate.*\n`).ReplaceAllString(string(block[1]), "")
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
	if err := os.WriteFile(file, []byte(config+site+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(folder, "error.log")
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, program, "-p", folder, "-e", log, "-c", file)
	var said strings.Builder
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
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
	return nginx{
		client: &http.Client{
			Transport:     &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 16},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		refused: func() string {
			text, _ := os.ReadFile(log) // nothing there: nothing refused
			return string(text)
		},
	}
}

// reply is what came back.
type reply struct {
	status int
	leads  *url.URL // by Location
	text   string
}

// do asks for a path of https://example.com, in the clear.
func (n nginx) do(ctx context.Context, method, path, token, body string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://example.com"+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := n.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	leads, _ := response.Location() // nil: nowhere
	return reply{response.StatusCode, leads, string(text)}, err
}

// TestBehindNginx: everything that names a place names one below the public URL, whether nginx strips its path or not.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	const public = "https://example.com/blog"
	i := serveOn(t, "sqlite::memory:", "", "--public-url="+public+"/", "--trusted-proxies=127.0.0.1", "--demo")
	for _, want := range []string{
		"API       " + public + "/api\n", "Docs      " + public + "/docs\n",
		"Keys      " + public + "/.well-known/jwks.json\n", "Listens   http://127.0.0.1:",
	} {
		if !strings.Contains(i.banner, want) {
			t.Errorf("the banner lacks %q: %s", want, i.banner)
		}
	}
	address := strings.TrimSuffix(strings.TrimPrefix(i.url, "http://"), "/api")
	for name, changes := range map[string][]string{
		"left":     nil,
		"stripped": {"/blog/ {\n        proxy_pass http://conduit;", "/blog/ {\n        proxy_pass http://conduit/;"},
	} {
		n := startNginx(t, [2]string{address, address}, changes...)
		do := func(method, path, token, body string, status int) reply {
			t.Helper()
			got, err := n.do(t.Context(), method, path, token, body)
			if err != nil {
				t.Fatal(err, n.refused())
			}
			if got.status != status {
				t.Errorf("%s: %s %s: %d %s", name, method, path, got.status, got.text)
			}
			return got
		}
		leads := func(got reply, want string) {
			t.Helper()
			to := got.leads
			if to == nil || strings.TrimRight(to.Path, "0123456789") != want || to.Host != "example.com" {
				t.Errorf("%s: led to %v, want %s", name, to, want)
			}
		}
		registered := do("POST", "/blog/api/users", "",
			fmt.Sprintf(`{"user":{"username":%q,"email":"%s@example.com","password":"a password"}}`, name, name), 201)
		leads(registered, "/blog/api/user")
		_, token, _ := strings.Cut(registered.text, `"token":"`)
		token, _, _ = strings.Cut(token, `"`)
		do("GET", registered.leads.Path, token, "", 200)
		published := do("POST", "/blog/api/articles/", token,
			fmt.Sprintf(`{"article":{"title":%q,"description":"d","body":"b"}}`, name), 201)
		leads(published, "/blog/api/articles/"+name)
		do("GET", published.leads.Path, "", "", 200)
		commented := do("POST", published.leads.Path+"/comments", token, `{"comment":{"body":"b"}}`, 201)
		leads(commented, "/blog/api/articles/"+name+"/comments/") // and a number
		for _, from := range []string{"/blog", "/blog/", "/blog/docs/"} {
			leads(do("GET", from, "", "", 302), "/blog/docs")
		}
		for _, file := range []string{"/blog/docs", "/blog/docs/docs.js", "/blog/avatars/1.svg", "/blog/healthz"} {
			do("GET", file, "", "", 200)
		}
		contract := do("GET", "/blog/openapi.yaml", "", "", 200)
		if !strings.Contains(contract.text, "\n  - url: "+public+"/api\n") {
			t.Errorf("%s: openapi.yaml does not name the server", name)
		}
		for _, place := range []string{
			"/.well-known/oauth-authorization-server/blog", "/blog/.well-known/oauth-authorization-server",
		} {
			if got := do("GET", place, "", "", 200); !strings.Contains(got.text, `"issuer":"`+public+`"`) ||
				!strings.Contains(got.text, `"jwks_uri":"`+public+`/.well-known/jwks.json"`) {
				t.Errorf("%s: %s: %s", name, place, got.text)
			}
		}
		do("GET", "/blog/.well-known/jwks.json", "", "", 200)
		do("GET", "/api/tags", "", "", 404)
		if name == "left" {
			if got := do("GET", "/blog/api/profiles/a%2Fb", "", "", 404); !strings.Contains(got.text, `"profile":[`) {
				t.Errorf("an encoded slash was lost: %s", got.text)
			}
		}
		large := `{"user":"` + strings.Repeat("x", 1<<20+1) + `"}`
		if got := do("PUT", "/blog/api/user", token, large, 413); !strings.Contains(got.text, `"body":["is too large`) {
			t.Errorf("%s: %.100s", name, got.text)
		}
	}
	if err := i.stop(); err != nil {
		t.Error(err)
	}
}
