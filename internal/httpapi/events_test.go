package httpapi_test

import (
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/events"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestEventsAreTold: a login, an article of an author whom one follows, and a comment of somebody else on one's own
// article, in the order in which they happened; and nothing that concerns others.
func TestEventsAreTold(t *testing.T) {
	instances(t, func(t *testing.T, one, other *server) {
		jake, jane, joe := one.register(t, "jake"), one.register(t, "jane"), one.register(t, "joe")
		mine := one.publish(t, jake, "Mine")
		one.do(t, following(jake, "jane")).want(t, 200, "")
		streams := []*listener{one.listen(t, jake), other.listen(t, jake), other.listen(t, one.loggedIn(t, "jake"))}
		one.do(t, commenting(jake, mine, "my own")).want(t, 201, "")
		one.publish(t, joe, "Of a stranger")
		one.publish(t, jane, "Hers")
		other.do(t, commenting(joe, mine, "his")).want(t, 201, "")
		one.loggedIn(t, "joe")
		one.do(t, following(joe, "jane")).want(t, 200, "")
		hers := other.publish(t, jane, "Hers again")
		one.do(t, commenting(jake, hers, "on hers")).want(t, 201, "")
		one.loggedIn(t, "jake")
		for i, stream := range streams {
			if i < 2 {
				stream.wants(t, `login "userAgent":"Go-http-client/1.1"`)
			}
			stream.wants(t, `article "author":{"username":"jane"},"slug":"hers","title":"Hers"`,
				`comment "author":{"username":"joe"}`, `article "hers-again"`, "login")
		}
	})
}

// TestEventsGoOn: who comes again with the last id misses nothing and gets nothing twice, at whichever instance.
func TestEventsGoOn(t *testing.T) {
	instances(t, func(t *testing.T, one, other *server) {
		jake, jane := one.register(t, "jake"), one.register(t, "jane")
		mine := one.publish(t, jake, "Mine")
		one.do(t, following(jake, "jane")).want(t, 200, "")
		servers := []*server{one, other}
		stream := one.listen(t, jake)
		said := []string{"first"}
		one.publish(t, jane, "first")
		for i := range 5 {
			stream.wants(t, "article "+said[0])
			stream.close()
			said = nil
			for _, word := range []string{"a", "b", "c"} {
				title := word + strings.Repeat("x", i)
				servers[i%2].publish(t, jane, title)
				said = append(said, title)
			}
			one.do(t, commenting(jane, mine, "hers")).want(t, 201, "")
			stream = servers[(i+1)%2].listen(t, jake, stream.id)
			stream.wants(t, "article "+said[0], "article "+said[1], "article "+said[2], "comment")
			last := "last" + strings.Repeat("x", i)
			said = []string{last}
			other.publish(t, jane, last)
		}
		// Of much that was missed, all is told.
		id := stream.id
		stream.close()
		for range 120 {
			one.do(t, commenting(jane, mine, "much")).want(t, 201, "")
		}
		stream = other.listen(t, jake, id)
		stream.wants(t, "article last")
		for range 120 {
			stream.wants(t, "comment")
		}
		// What is gone is told to nobody.
		stream.close()
		gone := one.publish(t, jane, "Gone")
		one.do(t, del("/api/articles/"+gone, jane)).want(t, 204, "")
		one.publish(t, jane, "Still there")
		one.listen(t, jake, stream.id).wants(t, "article still-there")
	})
}

// TestEventsBegin: an id that the log has not, or not any more, is told to begin anew, and one that comes before
// anything has happened holds.
func TestEventsBegin(t *testing.T) {
	instances(t, func(t *testing.T, one, other *server) {
		jake, jane := one.register(t, "jake"), one.register(t, "jane")
		one.do(t, following(jake, "jane")).want(t, 200, "")
		first := one.listen(t, jake)
		first.close()
		one.publish(t, jane, "Missed")
		stream := other.listen(t, jake, first.id)
		stream.wants(t, "article missed")
		position, _ := events.ParsePosition(stream.id)
		foreign, later, never := position, position, position
		foreign.Log = "other"
		later.Change, later.ID = position.Change+1000, position.ID+1000
		never.At++
		for _, id := range []string{
			"x", "1.2.3", "...", "-1.1.1.1", strings.Repeat("9", 300), foreign.String(), later.String(), never.String(),
			position.Log + ".0.0.0", position.Log + ".0.-1.0",
		} {
			stream := one.listen(t, jake, id)
			stream.wants(t, `reset {"type":"reset"}`)
			stream.close()
		}
		stream = one.listen(t, jake, "")
		one.publish(t, jane, "Now")
		stream.wants(t, "article now")
	})
}

// TestEventsEndWithTheSession: the last event says why, at every instance, and whoever logs in again and goes on from
// there is not told of it twice.
func TestEventsEndWithTheSession(t *testing.T) {
	instances(t, func(t *testing.T, one, other *server) {
		jake := one.register(t, "jake")
		_, admin := one.admin(t, "ada")
		mine := one.publish(t, jake, "Mine")
		user, err := one.Accounts.Find(t.Context(), "jake")
		if err != nil {
			t.Fatal(err)
		}
		watching := one.listen(t, jake)
		for reason, end := range map[string]func(token string) call{
			"logout":  func(token string) call { return post("/api/users/logout", token) },
			"revoked": func(token string) call { return del("/api/user/sessions/"+one.sessionOf(t, token).ID, jake) },
		} {
			token := one.loggedIn(t, "jake")
			streams := []*listener{one.listen(t, token), other.listen(t, token)}
			one.do(t, end(token)).want(t, 204, "")
			for _, stream := range streams {
				stream.wantsEnd(t, `session-ended "reason":"`+reason+`"`)
			}
			watching.wants(t, "login", `session-ended "reason":"`+reason+`"`)
			one.do(t, commenting(admin, mine, "hers")).want(t, 201, "")
			watching.wants(t, "comment")
			token = one.loggedIn(t, "jake")
			again := other.listen(t, token, streams[0].id)
			again.wants(t, "comment")
			one.do(t, post("/api/users/logout", token)).want(t, 204, "")
			again.wantsEnd(t, `session-ended "reason":"logout"`)
			watching.wants(t, "login", "session-ended")
		}
		token := one.loggedIn(t, "jake")
		stream := other.listen(t, token)
		one.do(t, changing(jake, "password", "another secret")).want(t, 200, "")
		stream.wantsEnd(t, `session-ended "reason":"account-changed"`)
		watching.wants(t, "login", `session-ended "reason":"account-changed"`)
		one.do(t, changingAccount(admin, user.ID, "disabled", true)).want(t, 200, "")
		watching.wantsEnd(t, `session-ended "reason":"account-disabled"`)
		one.do(t, get("/api/user/events", jake)).wantError(t, 401, "token", "is invalid")
	})
}

// TestWhyStreamsEnd: whatever ends a session ends its streams, and says so. Where the session goes on, the client is to
// come again.
func TestWhyStreamsEnd(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		started := s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password)).tokens(t)
		stream := s.listen(t, started.AccessToken)
		s.clock.Advance(16 * time.Minute) // the access token has expired
		stream.wantsEnd(t, `reconnect {"type":"reconnect"}`)
		stream = s.listen(t, s.refresh(t, started.RefreshToken).tokens(t).AccessToken, stream.id)
		s.clock.Advance(time.Minute)
		s.refresh(t, started.RefreshToken).want(t, 401, "")
		stream.wantsEnd(t, `session-ended "reason":"refresh-reused"`)

		stream = s.listen(t, s.loggedIn(t, "jake"))
		s.clock.Advance(25 * time.Hour)
		stream.wantsEnd(t, `session-ended "reason":"expired"`)

		revoked := s.loggedIn(t, "jake")
		stream = s.listen(t, revoked)
		s.do(t, formCall("/api/revoke", s.newClient(t), "token", revoked)).want(t, 200, "")
		stream.wantsEnd(t, `session-ended "reason":"logout"`)

		left := s.loggedIn(t, "jake")
		stream = s.listen(t, left)
		s.do(t, leaving(left, password)).want(t, 204, "")
		stream.wantsEnd(t, `session-ended "reason":"account-deleted"`)

		stream = s.listen(t, s.register(t, "jane"))
		if _, err := s.Keys.Revoke(t.Context(), s.Keys.Keys()[0].ID); err != nil {
			t.Fatal(err)
		}
		stream.wantsEnd(t, "reconnect")
	})
}

// TestStreamsAreBounded for a user and for a server. Whoever hangs up makes room.
func TestStreamsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s = newServerOn(t, s.Store, func(o *app.Options) { o.EventStreams, o.MaxSessions = 11, 2 })
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		var streams []*listener
		for range 10 {
			streams = append(streams, s.listen(t, jake))
		}
		refused := s.do(t, get("/api/user/events", jake))
		refused.wantError(t, 429, "events", "too many streams are open")
		wantSame(t, "Retry-After", "10", refused.header.Get("Retry-After"))
		s.listen(t, jane)
		s.do(t, get("/api/user/events", s.register(t, "joe"))).wantError(t, 503, "server", "is not available")
		open, most := s.Events.Figures()
		wantSame(t, "open", [2]int64{11, 11}, [2]int64{open, most})
		wantSame(t, "refused", 2, s.Events.Refused.Load())
		streams[0].close()
		for s.follow(t, get("/api/user/events", jake)).StatusCode != http.StatusOK { // once it is noticed
		}
		s.loggedIn(t, "jake")
		s.loggedIn(t, "jake") // one more session than there may be
		last := told{}
		for event, err := streams[1].next(); err == nil; event, err = streams[1].next() {
			last = event
		}
		if last.kind != "session-ended" || !strings.Contains(last.data, `"reason":"evicted"`) {
			t.Errorf("the last event is %v", last)
		}
	})
}

// TestDraining: all streams end, with what there was, and say where to go on; none begins at that instance.
func TestDraining(t *testing.T) {
	instances(t, func(t *testing.T, one, other *server) {
		jake, jane := one.register(t, "jake"), one.register(t, "jane")
		one.do(t, following(jake, "jane")).want(t, 200, "")
		stream := one.listen(t, jake)
		one.Events.Drain()
		stream.wantsEnd(t, `reconnect {"type":"reconnect"}`)
		one.do(t, get("/api/user/events", jake)).wantError(t, 503, "server", "is not available")
		one.publish(t, jane, "Meanwhile")
		other.listen(t, jake, stream.id).wants(t, "article meanwhile")
	})
}

// TestStreamsWithoutDatabase end in a bounded time, since nobody knows whether their sessions go on. The client comes
// again, and has missed nothing.
func TestStreamsWithoutDatabase(t *testing.T) {
	t.Parallel()
	url, proxy := storetest.NewProxy(t, storetest.Postgres(t))
	for what, happens := range map[string][2]func(){
		"refuses": {proxy.Stop, proxy.Start}, "is silent": {proxy.Freeze, proxy.Thaw},
	} {
		s := newServer(t, url, store.Options{})
		jake := s.register(t, strings.ReplaceAll(what, " ", ""))
		mine := s.publish(t, jake, "Mine "+what)
		jane := s.register(t, "jane"+strings.ReplaceAll(what, " ", ""))
		stream := s.listen(t, jake)
		began := time.Now()
		happens[0]()
		stream.wantsEnd(t, "reconnect")
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: the stream ends after %v", what, took)
		}
		s.do(t, get("/api/user/events", jake)).wantError(t, 503, "server", "is not available")
		happens[1]()
		for s.do(t, commenting(jane, mine, "meanwhile")).status != 201 {
		}
		s.listen(t, jake, stream.id).wants(t, "comment")
	}
}

// TestSlowListeners: a client that does not read is let go, takes no more than its share, and can go on later.
func TestSlowListeners(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		s := newServerOn(t, db, func(o *app.Options) { o.HTTP.PieceTime = 50 * time.Millisecond })
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		mine := s.publish(t, jake, strings.Repeat("long title ", 20))
		raw := s.dial(t)
		if _, err := io.WriteString(raw, "GET /api/user/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+jake+
			"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		open := func() int64 { open, _ := s.Events.Figures(); return open }
		for open() == 0 {
			runtime.Gosched()
		}
		for open() > 0 { // it fills what the systems keep of an answer
			s.do(t, commenting(jane, mine, "more")).want(t, 201, "")
		}
	})
}

// TestMuchAtOnce: what comes faster than a client reads takes no memory, and is told all the same.
func TestMuchAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		mine := s.publish(t, jake, "Mine")
		caller, err := s.Users.Authenticate(t.Context(), jake)
		if err != nil {
			t.Fatal(err)
		}
		stream, _, err := s.Events.Open(t.Context(), caller.User.ID, caller.Session.ID,
			s.clock.Now().Add(time.Hour), "")
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		const much = 300
		for range much {
			s.do(t, commenting(jane, mine, "more")).want(t, 201, "")
		}
		for s.Events.Slow.Load() == 0 {
			runtime.Gosched()
		}
		var ids []int64
		for len(ids) < much {
			news, err := stream.Next(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, event := range news.Events {
				ids = append(ids, event.CommentID)
			}
		}
		if !slices.IsSorted(ids) || len(slices.Compact(ids)) != much {
			t.Errorf("told: %v", ids)
		}
		wantSame(t, "times that too much waited", 1, s.Events.Slow.Load())
	})
}

// TestSignsOfLife come while nothing happens, and say how far the log has gone meanwhile.
func TestSignsOfLife(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s = newServerOn(t, s.Store, func(o *app.Options) { o.HTTP.Heartbeat = 10 * time.Millisecond })
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		stream := s.listen(t, jake)
		first := stream.id
		wantSame(t, "a sign", ": ", stream.line(t))
		s.publish(t, jane, "Of a stranger")
		for stream.id == first {
			stream.line(t)
		}
		stream.close()
		s.do(t, following(jake, "jane")).want(t, 200, "")
		s.publish(t, jane, "Hers")
		s.listen(t, jake, stream.id).wants(t, "article hers")
	})
}

// TestHeadersOfStreams: nothing on the way keeps or packs them, pages of other origins can read them, and HEAD begins
// none.
func TestHeadersOfStreams(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		counted := make(chan bool, 100)
		s = newServerOn(t, s.Store, func(o *app.Options) {
			o.HTTP.OnRequest = func(operationID string, status int, _ time.Duration) {
				if operationID == "streamUserEvents" && status == http.StatusOK {
					counted <- true
				}
			}
		})
		jake := s.register(t, "jake")
		stream := s.follow(t, get("/api/user/events", jake).with("Accept-Encoding", "gzip").
			with("Origin", "https://front.example"))
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
			"Content-Encoding": "", "Content-Length": "", "ETag": "", "No-Gzip-Compression": "",
			"Access-Control-Allow-Origin": "*",
		} {
			wantSame(t, name, want, stream.Header.Get(name))
		}
		<-counted // when it begins: for how long it lasts says nothing of the server
		head := s.do(t, call{method: "HEAD", path: "/api/user/events", token: jake}).want(t, 200, "")
		wantSame(t, "Content-Type for HEAD", "text/event-stream", head.header.Get("Content-Type"))
		stream.close()
		<-counted // that of HEAD
		s.Server.Close()
		wantSame(t, "requests counted", 0, len(counted))
		wantSame(t, "streams opened", 1, s.Events.Opened.Load())
	})
}
