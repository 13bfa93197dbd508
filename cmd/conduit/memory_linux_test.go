package main

import (
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
	instance
	pid    int
	tokens []string
}

func startProgram(t *testing.T, binary, database string) *program {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, "serve", "--listen=127.0.0.1:0", "--database", database,
		"--key-file", filepath.Join(t.TempDir(), "key"), "--registrations-per-hour=0", "--trusted-proxies=127.0.0.1",
		"--log-level=error")
	i := serveInProcess(t, command)
	i.client = http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return &program{instance: i, pid: command.Process.Pid}
}

// peak is the most memory that the process had, in MB.
func (p *program) peak(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kilobytes, err := strconv.Atoi(fields[1])
			must(t, err)
			return kilobytes / 1000
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// abandoned sends a request, or the beginning of one, and reads no answer.
func (p *program) abandoned(ctx context.Context, text string) net.Conn {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.hostPort())
	if err != nil {
		return nil
	}
	_, _ = io.WriteString(conn, text)
	return conn
}

// TestMemory attacks the program as 20 accounts with full knowledge of it could: by 1,000 requests with the largest
// bodies and the largest answers, half of which nobody reads. The program stays below 400 MB and works afterwards.
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
			got := p.do(t, "POST /users", "", account(name), "X-Forwarded-For", name)
			p.tokens = append(p.tokens, tokenIn(t, got.text))
		}
		p.attack(t)
		peak := p.peak(t)
		if t.Logf("%d MB", peak); peak > 400 {
			t.Error("want at most 400 MB")
		}
		if got := p.do(t, "GET /user", p.tokens[0], "", "X-Forwarded-For", "192.0.2.99"); got.status != http.StatusOK {
			t.Error("afterwards: ", got)
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
	type call struct{ request, body string }
	var calls []call
	for range 40 {
		for title, text := range texts {
			calls = append(calls, call{"POST /articles", article(title, text)})
		}
		calls = append(calls,
			call{"PUT /user", profile},
			call{"POST /articles/angles/comments", comment}, call{"POST /articles/angles/comments", comment},
			call{"POST /articles", elements}, call{"POST /articles", members},
			call{"GET /articles?limit=100", ""}, call{"GET /articles/angles", ""},
			call{"GET /articles/controls", ""}, call{"GET /articles/foxes", ""},
			call{"POST /articles/controls/favorite", ""},
			call{"PUT /articles/angles", `{"article":{"description":"x"}}`},
			call{"GET /articles/angles/comments", ""}, call{"GET /tags", ""},
			call{"POST /users/login", `{"user":{"email":"user1@example.com","password":"` +
				strings.Repeat("<", 1000) + `"}}`},
		)
	}
	rand.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	// Half as many more requests get no reader for their answers, or have no end.
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
				// Any answer is right here, and so is none.
				_, _ = p.send(ctx, calls[i].request, p.tokens[i%20], calls[i].body,
					"X-Forwarded-For", fmt.Sprintf("192.0.2.%d", 1+i%20))
			}
		})
	}
	for i := range calls {
		work <- i
		if i%2 == 0 {
			continue
		}
		headers := fmt.Sprintf(" HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.%d\r\nAuthorization: Bearer %s\r\n",
			1+i%20, p.tokens[i%20])
		path := []string{
			"/api/articles/controls", "/api/articles?limit=100", "/api/articles/angles/comments", "/openapi.json",
			"/api/profiles/user1",
		}[i%5]
		text := strings.Repeat("GET "+path+headers+"Accept-Encoding: gzip, identity\r\n\r\n", 30)
		if i%8 == 1 {
			text = "POST /api/articles" + headers +
				"Content-Type: application/json\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat(" ", 900_000)
		}
		if conn := p.abandoned(ctx, text); conn != nil {
			held = append(held, conn)
		}
	}
	close(work)
	wg.Wait()
}
