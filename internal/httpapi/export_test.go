package httpapi_test

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"conduit/api"
	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

func exporting(token string) call { return get("/api/user/export", token) }

// TestExportHasAllOfOnesOwn and nothing of others but what everybody may see.
func TestExportHasAllOfOnesOwn(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		_, admin := s.admin(t, "secretadmin")
		jake, jane, fan := s.register(t, "jake"), s.register(t, "jane"), s.register(t, "secretfan")
		s.do(t, changing(jake, "bio", `a "bio" <b>`, "username", "jacob")).want(t, 200, "")
		mine := s.publish(t, jake, "Mine", "a", "b")
		s.do(t, put("/api/articles/"+mine, jake, `{"article":{"title":"Renamed"}}`)).want(t, 200, "")
		hers := s.publish(t, jane, "Hers")
		s.do(t, post("/api/profiles/jane/follow", jake)).want(t, 200, "")
		s.do(t, post("/api/profiles/jacob/follow", fan)).want(t, 200, "")
		s.do(t, post("/api/articles/"+hers+"/favorite", jake)).want(t, 200, "")
		s.do(t, post("/api/articles/renamed/favorite", fan)).want(t, 200, "")
		s.do(t, commenting(jake, hers, "mine, below hers")).want(t, 201, "")
		s.do(t, commenting(fan, "renamed", "secretcomment")).want(t, 201, "")
		user, err := s.Accounts.Find(t.Context(), "jacob")
		if err != nil {
			t.Fatal(err)
		}
		s.do(t, changingAccount(admin, user.ID, "role", "user").with("X-Forwarded-For", "203.0.113.99").
			with("User-Agent", "secretagent")).want(t, 200, "")
		got := s.do(t, exporting(jake)).want(t, 200, "")
		wantSame(t, "Cache-Control", "no-store", got.header.Get("Cache-Control"))
		wantSame(t, "Content-Type", "application/json; charset=utf-8", got.header.Get("Content-Type"))
		wantSame(t, "Content-Disposition", `attachment; filename="conduit-export.json"`,
			got.header.Get("Content-Disposition"))
		for _, secret := range []string{"secret", "203.0.113.99", "argon2"} {
			if strings.Contains(got.body, secret) {
				t.Errorf("%s is in %s", secret, got.body)
			}
		}
		export := into[api.UserExportEnvelope](t, got).Export
		wantSame(t, "bio", `a "bio" <b>`, export.Account.Bio.MustGet())
		wantSame(t, "followers", int64(1), export.Account.FollowersCount)
		wantSame(t, "sessions", sessionID(t, jake), export.Sessions[0].Id)
		wantSame(t, "current", true, export.Sessions[0].Current)
		wantSame(t, "former names", "jake", export.FormerNames[0].Username)
		wantSame(t, "following", []api.ExportedFollow{{Username: "jane"}}, export.Following)
		wantSame(t, "favorites", []api.ExportedFavorite{{Slug: hers}}, export.Favorites)
		wantSame(t, "articles", 1, len(export.Articles))
		wantSame(t, "tags", []string{"a", "b"}, export.Articles[0].TagList)
		wantSame(t, "favoured", int64(1), export.Articles[0].FavoritesCount)
		wantSame(t, "former slugs", []api.ExportedSlug{{Slug: mine, Article: "renamed"}}, export.FormerSlugs)
		wantSame(t, "comments", "mine, below hers", export.Comments[0].Body)
		var events []string
		for _, event := range export.Events {
			events = append(events, event.Actor+" "+event.Action)
		}
		wantSame(t, "events", []string{
			"user data-exported", "admin role-changed", "user username-changed", "user registered",
		}, events)
		// Of somebody who has nothing, it has empty lists.
		empty := into[api.UserExportEnvelope](t, s.do(t, exporting(s.register(t, "joe")))).Export
		wantSame(t, "articles of nobody", 0, len(empty.Articles)+len(empty.Comments)+len(empty.Following))
	})
}

// TestExportsOneAfterTheOther: of exports at once one is made, and the next after a rest. HEAD begins none.
func TestExportsOneAfterTheOther(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		recorded := len(s.events(t))
		head := s.do(t, call{method: "HEAD", path: "/api/user/export", token: token}).want(t, 200, "")
		wantSame(t, "type", "application/json; charset=utf-8", head.header.Get("Content-Type"))
		wantSame(t, "recorded for HEAD", recorded, len(s.events(t)))
		var calls []call
		for range 10 {
			calls = append(calls, exporting(token))
		}
		wantSame(t, "ten at once", map[int]int{200: 1, 429: 9}, s.together(t, calls))
		s.clock.Advance(time.Minute - time.Millisecond)
		got := s.do(t, exporting(token))
		got.wantError(t, 429, "export", "is under way, or was lately")
		wantSame(t, "Retry-After", "1", got.header.Get("Retry-After"))
		s.clock.Advance(time.Millisecond)
		s.do(t, exporting(token)).want(t, 200, "")
		wantSame(t, "recorded", recorded+2, len(s.events(t)))
		notices := s.sessionsOf(t, token).Notices
		wantSame(t, "told", "data-exported", notices[0].Event)
	})
}

// muchToExport gives a user so much that it does not fit between server and client, even compressed.
func (s *server) muchToExport(t *testing.T, database string, user int64) {
	t.Helper()
	raw := make([]byte, 300_000)
	for n := range 60 {
		_, _ = rand.Read(raw)
		execute(t, database, fmt.Sprintf(`
insert into articles (slug, title, description, body, tag_list, author_id, created_at, updated_at)
select 's%d-%d', 't', 'd', '%s', '[]', id, created_at, created_at from users where id = %[1]d`,
			user, n, base64.StdEncoding.EncodeToString(raw)))
	}
}

// begins sends a request for an export, and reads the beginning of the answer.
func (s *server) begins(t *testing.T, token, protocol, headers string) (*bufio.Reader, net.Conn) {
	t.Helper()
	conn := s.dial(t)
	_, err := io.WriteString(conn, "GET /api/user/export "+protocol+"\r\nHost: x\r\nAuthorization: Bearer "+token+
		"\r\n"+headers+"\r\n")
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReaderSize(conn, 100)
	if start, err := reader.Peek(100); err != nil || !strings.Contains(string(start), " 200 OK") {
		t.Fatalf("begins with %q: %v", start, err)
	}
	return reader, conn
}

// TestExportsBreakOff: what cannot be finished is no complete answer, by whatever protocol, and the log says why.
func TestExportsBreakOff(t *testing.T) {
	t.Parallel()
	for _, way := range []struct{ name, protocol, headers string }{
		{"HTTP 1.1", "HTTP/1.1", ""}, {"HTTP 1.0", "HTTP/1.0", ""},
		{"compressed", "HTTP/1.1", "Accept-Encoding: gzip\r\n"},
	} {
		for name, breaks := range map[string]func(t *testing.T, s *server, proxy *storetest.Proxy, token string){
			"the database goes": func(_ *testing.T, _ *server, proxy *storetest.Proxy, _ string) { proxy.Stop() },
			"the database hangs": func(_ *testing.T, _ *server, proxy *storetest.Proxy, _ string) {
				proxy.Freeze()
			},
			"the session ends": func(t *testing.T, s *server, _ *storetest.Proxy, token string) {
				s.do(t, post("/api/users/logout", token)).want(t, 204, "")
			},
			"the account goes": func(t *testing.T, s *server, _ *storetest.Proxy, token string) {
				s.do(t, leaving(token, password)).want(t, 204, "")
			},
			"it takes too long": func(_ *testing.T, s *server, _ *storetest.Proxy, _ string) {
				s.clock.Advance(16 * time.Minute)
			},
		} {
			t.Run(name+", "+way.name, func(t *testing.T) {
				t.Parallel()
				direct := storetest.Postgres(t)
				url, proxy := storetest.NewProxy(t, direct)
				s := newServer(t, url, store.Options{})
				token := s.register(t, "jake")
				s.muchToExport(t, direct, 1)
				reader, _ := s.begins(t, token, way.protocol, way.headers)
				breaks(t, s, proxy, token)
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = response.Body.Close() }()
				text, err := io.ReadAll(response.Body)
				if way.protocol == "HTTP/1.1" && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes end with %v", len(text), err)
				}
				if json.Valid(text) {
					t.Error("a part looks like the whole")
				}
				if !strings.Contains(s.log.String(), "an export broke off") {
					t.Error("the log does not say so")
				}
			})
		}
	}
}

// TestExportsThatCannotBegin are refused in the contract's words.
func TestExportsThatCannotBegin(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := newServer(t, url, store.Options{Lease: time.Hour})
	token := s.register(t, "jake")
	s.do(t, get("/api/user", token)).want(t, 200, "")
	execute(t, url, "alter table exports rename to lost")
	got := s.do(t, exporting(token))
	got.wantError(t, 500, "server", "internal error")
	wantSame(t, "Content-Disposition", "", got.header.Get("Content-Disposition"))
	execute(t, url, "alter table lost rename to exports; alter table reserved_names rename to lost")
	for range 2 * 4 { // places come back
		got := s.do(t, exporting(token))
		got.wantError(t, 500, "server", "internal error")
		wantSame(t, "Content-Disposition", "", got.header.Get("Content-Disposition"))
		s.clock.Advance(time.Minute)
	}
	execute(t, url, "alter table lost rename to reserved_names")
	s.do(t, exporting(token)).want(t, 200, "")
}

// TestExportsThatNobodyReads are few at a time, and end.
func TestExportsThatNobodyReads(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	db := storetest.Open(t, url, store.Options{Timeout: 20 * time.Second, Lease: store.MostLease})
	s := newServerOn(t, db, func(o *app.Options) { o.HTTP.PieceTime = 2 * time.Second })
	var tokens []string
	for n := range 5 {
		tokens = append(tokens, s.register(t, fmt.Sprint("user", n)))
		s.muchToExport(t, url, int64(n)+1)
	}
	var held []net.Conn
	for _, token := range tokens[:4] {
		_, conn := s.begins(t, token, "HTTP/1.1", "")
		held = append(held, conn)
	}
	s.do(t, exporting(tokens[4])).wantError(t, 429, "export", "too many at once")
	s.do(t, exporting(tokens[0])).wantError(t, 429, "export", "too many at once")
	got := s.do(t, exporting(tokens[4]))
	for got.status == http.StatusTooManyRequests {
		got = s.do(t, exporting(tokens[4]))
	}
	got.want(t, 200, "")
	for _, conn := range held {
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
		if err == nil {
			t.Error("an export that nobody read for long is whole")
		}
	}
	if strings.Contains(s.log.String(), "an export broke off") {
		t.Error("the log blames the server")
	}
}

// TestExportsOutlastOtherAnswers: an export may take longer than the server allows others, as long as it is read.
func TestExportsOutlastOtherAnswers(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	s := newServer(t, url, store.Options{Timeout: 20 * time.Second})
	token := s.register(t, "jake")
	s.muchToExport(t, url, 1)
	hasty := httptest.NewUnstartedServer(s.Handler)
	hasty.Config.ReadTimeout, hasty.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	hasty.Start()
	t.Cleanup(hasty.Close)
	s.Server = hasty
	reader, _ := s.begins(t, token, "HTTP/1.1", "")
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	began := time.Now()
	var text strings.Builder
	for tick := time.Tick(5 * time.Millisecond); err == nil; <-tick {
		_, err = io.CopyN(&text, response.Body, 100_000)
	}
	if !errors.Is(err, io.EOF) || !json.Valid([]byte(text.String())) {
		t.Errorf("%d bytes after %v: %v", text.Len(), time.Since(began), err)
	}
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("took %v only", took)
	}
	wantSame(t, "exports", 1, len(s.exportsOnRecord(t)))
}

func (s *server) exportsOnRecord(t *testing.T) []identity.Event {
	t.Helper()
	events, err := s.Store.Events(t.Context(), identity.EventFilter{Action: identity.DataExported, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	return events
}
