package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"conduit/internal/store/storetest"
)

// program is "conduit serve" as it is shipped, in a process of its own.
type program struct {
	host   string
	pid    int
	tokens []string
	client *http.Client
}

func startProgram(t *testing.T, binary, database string) *program {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, "serve", "--listen=127.0.0.1:0", "--database", database,
		"--key-file", filepath.Join(t.TempDir(), "key"), "--registrations-per-hour=0", "--trusted-proxies=127.0.0.1",
		"--log-level=error")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	p := &program{pid: command.Process.Pid, client: &http.Client{Timeout: time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 2 && fields[0] == "API" {
			p.host = strings.TrimSuffix(strings.TrimPrefix(fields[1], "http://"), "/api")
		}
		if strings.Contains(lines.Text(), "Database") {
			return p
		}
	}
	t.Fatal("did not start")
	return nil
}

// send sends a request from an IP address and reads the answer.
func (p *program) send(ctx context.Context, method, path, token, ipAddress, body string) (status int, text []byte,
	err error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+p.host+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Forwarded-For", ipAddress)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// peak is the most memory that the process had, in MB.
func (p *program) peak(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kilobytes, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes / 1000
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// abandoned sends a request and reads nothing: of the answer, or of what the server waits for.
func (p *program) abandoned(ctx context.Context, text string) net.Conn {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.host)
	if err != nil {
		return nil
	}
	_, _ = io.WriteString(conn, text)
	return conn
}

// TestMemory attacks the program as 20 accounts would that know all of it: 1,000 requests with the largest bodies, and
// for the largest answers, which half of the clients do not read. It lives, below 400 MB, and works afterwards.
func TestMemory(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "conduit")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-race=false", "-o", binary,
		".").CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	storetest.EachURL(t, func(t *testing.T, url string) {
		p := startProgram(t, binary, url)
		for i := range 20 {
			name := fmt.Sprint("user", i)
			status, text, err := p.send(t.Context(), "POST", "/api/users", "", name,
				`{"user":{"username":"`+name+`","email":"`+name+`@example.com","password":"password123"}}`)
			if err != nil || status != 201 {
				t.Fatal(status, string(text), err)
			}
			_, token, _ := bytes.Cut(text, []byte(`"token":"`))
			token, _, _ = bytes.Cut(token, []byte(`"`))
			p.tokens = append(p.tokens, string(token))
		}
		p.attack(t)
		if peak := p.peak(t); peak > 400 {
			t.Errorf("%d MB", peak)
		} else {
			t.Logf("%d MB", peak)
		}
		if status, text, err := p.send(t.Context(), "GET", "/api/user", p.tokens[0], "192.0.2.99", ""); err != nil ||
			status != 200 {
			t.Error("afterwards: ", status, string(text), err)
		}
	})
}

func (p *program) attack(t *testing.T) {
	t.Helper()
	texts := map[string]string{ // a byte that takes six, four bytes a character, and what only escapes can say
		"angles": strings.Repeat("<", 500_000), "foxes": strings.Repeat("🦊", 250_000),
		"controls": strings.Repeat(`\u0001`, 170_000),
	}
	profile := `{"user":{"bio":"` + strings.Repeat("🦊", 10_000) + `","image":"` + strings.Repeat("<", 2048) + `"}}`
	var tags []string
	for i := range 50 {
		tags = append(tags, `"`+strings.Repeat("<", 60)+strconv.Itoa(i)+`"`)
	}
	comment := `{"comment":{"body":"` + strings.Repeat("<", 10_000) + `"}}`
	article := func(title, text string) string {
		return `{"article":{"title":"` + title + `","description":"` + strings.Repeat("🦊", 1000) + `","body":"` + text +
			`","tagList":[` + strings.Join(tags, ",") + `]}}`
	}
	elements := `{"article":{"tagList":[` + strings.Repeat("1,", 500_000) + `1]}}`
	members := `{"article":{"x":{"a":1` + strings.Repeat(`,"b":{"c":{}}`, 60_000) + `}}}`

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	type request struct{ method, path, body string }
	var requests []request
	for range 40 {
		for title, text := range texts {
			requests = append(requests, request{"POST", "/api/articles", article(title, text)})
		}
		requests = append(requests,
			request{"PUT", "/api/user", profile}, request{"POST", "/api/articles/angles/comments", comment},
			request{"POST", "/api/articles/angles/comments", comment},
			request{"POST", "/api/articles", elements}, request{"POST", "/api/articles", members},
			request{"GET", "/api/articles?limit=100", ""},
			request{"GET", "/api/articles/angles", ""}, request{"GET", "/api/articles/controls", ""},
			request{"GET", "/api/articles/foxes", ""},
			request{"POST", "/api/articles/controls/favorite", ""}, request{"PUT", "/api/articles/angles",
				`{"article":{"description":"x"}}`},
			request{"GET", "/api/articles/angles/comments", ""}, request{"GET", "/api/tags", ""},
			request{"POST", "/api/users/login", `{"user":{"email":"user1@example.com","password":"` +
				strings.Repeat("<", 1000) + `"}}`},
		)
	}
	rand.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	// Half as many again are asked and never read, or begun and never finished.
	var held []net.Conn
	defer func() {
		for _, conn := range held {
			_ = conn.Close()
		}
	}()
	var wg sync.WaitGroup
	work := make(chan int)
	for range 64 {
		wg.Go(func() {
			for i := range work {
				r := requests[i]
				ipAddress := fmt.Sprintf("192.0.2.%d", 1+i%20)
				// any answer, or none, will do
				_, _, _ = p.send(ctx, r.method, r.path, p.tokens[i%20], ipAddress, r.body)
			}
		})
	}
	for i := range requests {
		work <- i
		if i%2 == 0 {
			continue
		}
		token, ipAddress := p.tokens[i%20], fmt.Sprintf("192.0.2.%d", 1+i%20)
		path := []string{
			"GET /api/articles/controls", "GET /api/articles?limit=100", "GET /api/articles/angles/comments",
			"GET /openapi.json", "GET /api/profiles/user1",
		}[i%5]
		text := path + " HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + ipAddress + "\r\nAuthorization: Bearer " + token +
			"\r\nAccept-Encoding: gzip, identity\r\n\r\n"
		text = strings.Repeat(text, 30)
		if i%8 == 1 {
			text = "POST /api/articles HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + ipAddress +
				"\r\nAuthorization: Bearer " + token +
				"\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat(" ", 900_000)
		}
		if conn := p.abandoned(ctx, text); conn != nil {
			held = append(held, conn)
		}
	}
	close(work)
	wg.Wait()
}
