//go:build upgrade

// Package upgrade_test has the last release and the program of today run side by side on one database, as they do while
// a fleet is upgraded, and back. Nobody may notice. `make test-history` runs it.
package upgrade_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"conduit/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// balancer sends requests to its instances in turn.
type balancer struct {
	*httptest.Server
	behind atomic.Pointer[[]*url.URL]
	turn   atomic.Uint64
	lost   atomic.Int64 // requests that got no answer
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	b := &balancer{}
	b.Server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			behind := *b.behind.Load()
			r.SetURL(behind[b.turn.Add(1)%uint64(len(behind))])
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 32},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				b.lost.Add(1)
				t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	t.Cleanup(b.Close)
	return b
}

// lead has the requests go to these instances from now on.
func (b *balancer) lead(t *testing.T, instances ...*instance) {
	t.Helper()
	var behind []*url.URL
	for _, i := range instances {
		to, err := url.Parse(i.url)
		must(t, err)
		behind = append(behind, to)
	}
	b.behind.Store(&behind)
}

// person goes on reading and writing, whatever is done to the servers.
type person struct {
	name, slug string
	token      string // of a RealWorld login, which has to outlive all
	session    struct{ AccessToken, RefreshToken string }
	comments   map[int64]string // that were answered with 201
	requests   int
}

// send sends a request, wants the status, and decodes the answer.
func (p *person) send(ctx context.Context, base, request, token, body string, status int, into any) error {
	method, path, _ := strings.Cut(request, " ")
	sent, err := http.NewRequestWithContext(ctx, method, base+"/api"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	sent.Header.Set("Content-Type", "application/json")
	if token != "" {
		sent.Header.Set("Authorization", "Bearer "+token)
	}
	p.requests++
	answer, err := http.DefaultClient.Do(sent)
	if err != nil {
		return fmt.Errorf("%s: %w", request, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", request, err)
	}
	if answer.StatusCode != status {
		return fmt.Errorf("%s: %d %.300s, want %d", request, answer.StatusCode, text, status)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func credentials(name string) string {
	return fmt.Sprintf(`"email":"%s@example.com","password":"jakes secret"`, name)
}

// newPerson registers somebody, who has a login of RealWorld, a session with a refresh token, and an article.
func newPerson(t *testing.T, base, name string) *person {
	t.Helper()
	p := &person{name: name, comments: map[int64]string{}}
	var user struct{ User struct{ Token string } }
	must(t, p.send(t.Context(), base, "POST /users", "",
		fmt.Sprintf(`{"user":{"username":%q,%s}}`, name, credentials(name)), 201, &user))
	p.token = user.User.Token
	var begun struct {
		Session *struct{ AccessToken, RefreshToken string }
	}
	begun.Session = &p.session
	must(t, p.send(t.Context(), base, "POST /sessions", "", `{"session":{`+credentials(name)+`}}`, 201, &begun))
	var published struct{ Article struct{ Slug string } }
	must(t, p.send(t.Context(), base, "POST /articles", p.token,
		fmt.Sprintf(`{"article":{"title":"Of %s","description":"d","body":"b"}}`, name), 201, &published))
	p.slug = published.Article.Slug
	return p
}

// live does once what people do all day.
func (p *person) live(ctx context.Context, base string) error {
	var user struct{ User struct{ Username string } }
	if err := p.send(ctx, base, "GET /user", p.token, "", 200, &user); err != nil {
		return err
	}
	if user.User.Username != p.name {
		return fmt.Errorf("%s is %s now", p.name, user.User.Username)
	}
	said := fmt.Sprintf("%d of %s", p.requests, p.name)
	var made struct{ Comment struct{ ID int64 } }
	if err := p.send(ctx, base, "POST /articles/"+p.slug+"/comments", p.session.AccessToken,
		fmt.Sprintf(`{"comment":{"body":%q}}`, said), 201, &made); err != nil {
		return err
	}
	p.comments[made.Comment.ID] = said
	fresh := struct {
		Session *struct{ AccessToken, RefreshToken string }
	}{&p.session}
	if err := p.send(ctx, base, "POST /sessions/refresh", "",
		fmt.Sprintf(`{"session":{"refreshToken":%q}}`, p.session.RefreshToken), 200, &fresh); err != nil {
		return err
	}
	var listed struct{ Sessions []struct{ ID string } }
	if err := p.send(ctx, base, "GET /user/sessions", p.session.AccessToken, "", 200, &listed); err != nil {
		return err
	}
	if len(listed.Sessions) != 2 {
		return fmt.Errorf("%s has %d sessions, want 2", p.name, len(listed.Sessions))
	}
	if err := p.send(ctx, base, "PUT /user", p.session.AccessToken,
		fmt.Sprintf(`{"user":{"bio":%q}}`, said), 200, nil); err != nil {
		return err
	}
	return p.send(ctx, base, "GET /articles?limit=5", p.token, "", 200, nil)
}

// missing returns how many comments that were answered are not there, or are not what was said.
func (p *person) missing(t *testing.T, base string) int {
	t.Helper()
	there, cursor := map[int64]string{}, ""
	for {
		var page struct {
			Comments []struct {
				ID   int64
				Body string
			}
			NextCursor *string
		}
		must(t, p.send(t.Context(), base, "GET /articles/"+p.slug+"/comments?limit=100"+cursor, "", "", 200, &page))
		for _, comment := range page.Comments {
			there[comment.ID] = comment.Body
		}
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	missing := 0
	for id, said := range p.comments {
		if there[id] != said {
			missing++
		}
	}
	if len(there) != len(p.comments) {
		t.Errorf("%s has %d comments, and was told of %d", p.name, len(there), len(p.comments))
	}
	return missing
}

// journeys takes the clients of a release, for Go and TypeScript, through a server, as its own users would.
func journeys(t *testing.T, version, program, base string) {
	t.Helper()
	folder, err := filepath.Abs(root + "/tools/history")
	must(t, err)
	const inTypeScript = `for (const go of Object.values((await import(process.argv[1])).journeys))
		await go(process.env.CONDUIT_API)`
	script := "file://" + filepath.Join(folder, "compiled", version, "journey.js")
	for _, command := range [][]string{
		{program, "-test.count=3"},
		{"node", "--input-type=module", "--eval", inTypeScript, script},
	} {
		running := exec.CommandContext(t.Context(), command[0], command[1:]...)
		running.Env = append(os.Environ(), "CONDUIT_API="+base+"/api")
		if said, err := running.CombinedOutput(); err != nil {
			t.Errorf("%s, by the client of %s: %v\n%.3000s", filepath.Base(command[0]), version, err, said)
		}
	}
}

// TestUpgrade: while a fleet goes from the last release to today's program, back, and on again, every request of people
// who were logged in before is answered, nobody is logged out, and everything that was answered is there in the end.
func TestUpgrade(t *testing.T) {
	versions, commit := releases(t)
	oldProgram, newProgram := lastRelease(t, commit), thisVersion(t)
	clients := map[string]string{}
	for _, version := range versions {
		clients[version] = filepath.Join(t.TempDir(), "journey")
		output(t, root+"/tools/history", "go", "test", "-c", "-o", clients[version], "./"+version)
	}
	last := versions[len(versions)-1]
	storetest.EachEmpty(t, func(t *testing.T, database string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		old := start(t, last, oldProgram, database, keyFile)
		b := newBalancer(t)
		b.lead(t, old)
		var people []*person
		for n := range 4 {
			people = append(people, newPerson(t, b.URL, fmt.Sprint("person", n)))
		}

		ctx, stop := context.WithCancel(t.Context())
		var turns atomic.Int64
		var lives sync.WaitGroup
		for _, p := range people {
			lives.Go(func() {
				for ctx.Err() == nil && !t.Failed() {
					if err := p.live(t.Context(), b.URL); err != nil {
						t.Errorf("%s: %v", p.name, err)
					}
					turns.Add(1)
				}
			})
		}
		defer lives.Wait()
		defer stop()
		more := func(count int64) {
			for before := turns.Load(); turns.Load() < before+count && !t.Failed(); {
				must(t, (&person{}).send(t.Context(), b.URL, "GET /tags", "", "", 200, nil)) // meanwhile
			}
		}
		more(8)
		output(t, ".", newProgram, "migrate", "up", "--database="+database) // while the last release serves
		more(8)
		today := start(t, "today", newProgram, database, keyFile)
		b.lead(t, old, today)
		endings(t, old, today)
		endings(t, today, old)
		for _, version := range versions {
			journeys(t, version, clients[version], b.URL)
		}
		more(16)
		b.lead(t, old) // back
		more(8)
		b.lead(t, today)
		more(8)
		must(t, old.stop())
		more(8)
		stop()
		lives.Wait()

		requests, comments, missing := 0, 0, 0
		for _, p := range people {
			requests, comments = requests+p.requests, comments+len(p.comments)
			missing += p.missing(t, b.URL)
		}
		if missing > 0 || b.lost.Load() > 0 {
			t.Errorf("%d comments that were answered are not there; %d requests got no answer", missing, b.lost.Load())
		}
		t.Logf("%d requests of people who stayed logged in, %d comments, %d missing", requests, comments, missing)
	})
}

// endings: who logs out on one of the two is out on the other.
func endings(t *testing.T, here, there *instance) {
	t.Helper()
	p := &person{}
	name := "leaving" + here.name[:1]
	var user struct{ User struct{ Token string } }
	must(t, p.send(t.Context(), there.url, "POST /users", "",
		fmt.Sprintf(`{"user":{"username":%q,%s}}`, name, credentials(name)), 201, &user))
	token := user.User.Token
	must(t, p.send(t.Context(), there.url, "GET /user", token, "", 200, nil))
	must(t, p.send(t.Context(), here.url, "GET /user", token, "", 200, nil))
	must(t, p.send(t.Context(), here.url, "POST /users/logout", token, "", 204, nil))
	if err := p.send(t.Context(), there.url, "GET /user", token, "", 401, nil); err != nil {
		t.Errorf("after the logout on %s, %s: %v", here.name, there.name, err)
	}
}
