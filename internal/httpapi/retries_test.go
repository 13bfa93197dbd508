package httpapi_test

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/store/storetest"
)

// keyed is a request with a key of its own.
func keyed(c call) call { return c.with("Idempotency-Key", rand.Text()) }

// wantReplay fails the test unless an answer is another one that came before, and says so.
func wantReplay(t testing.TB, before, now answer) {
	t.Helper()
	if before.header.Get("Idempotent-Replayed") != "" || now.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("Idempotent-Replayed %q, then %q",
			before.header.Get("Idempotent-Replayed"), now.header.Get("Idempotent-Replayed"))
	}
	wantSameAnswer(t, before, now)
}

func wantSameAnswer(t testing.TB, before, now answer) {
	t.Helper()
	if now.status != before.status || now.body != before.body {
		t.Errorf("first %d %s, then %d %s", before.status, before.body, now.status, now.body)
	}
	for _, name := range []string{"Content-Type", "Location", "ETag", "Cache-Control"} {
		if before.header.Get(name) != now.header.Get(name) {
			t.Errorf("%s: first %q, then %q", name, before.header.Get(name), now.header.Get(name))
		}
	}
}

// wantReused fails the test unless the key of a request counts as used for another one.
func wantReused(t testing.TB, got answer) {
	t.Helper()
	got.wantError(t, 422, "idempotency-key", "was used for another request")
}

func publishingAs(token, title string) call { return publishing(token, title, "a") }

// articles counts the articles of jake.
func (s *server) articles(t testing.TB) float64 {
	t.Helper()
	count, _ := s.do(t, get("/api/articles?author=jake", "")).want(t, 200, "").at(t, "articlesCount").(float64)
	return count
}

// TestKeys: what a key is, and whose.
func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		first := publishingAs(jake, "One").with("Idempotency-Key", "1")
		published := s.do(t, first).want(t, 201, "")
		wantReplay(t, published, s.do(t, first))
		wantSame(t, "articles", 1, s.articles(t))

		t.Run("another body", func(t *testing.T) {
			other := first
			other.body = publishingAs(jake, "Two").body
			wantReused(t, s.do(t, other))
			other.body = " " + first.body // which means the same, and is not
			wantReused(t, s.do(t, other))
		})
		t.Run("another operation", func(t *testing.T) {
			wantReused(t, s.do(t, post("/api/profiles/jane/follow", jake).with("Idempotency-Key", "1")))
		})
		t.Run("another path", func(t *testing.T) {
			follow := post("/api/profiles/jane/follow", jake).with("Idempotency-Key", "2")
			s.do(t, follow).want(t, 200, "")
			follow.path = "/api/profiles/JANE/follow"
			wantReused(t, s.do(t, follow))
		})
		t.Run("another user", func(t *testing.T) {
			other := first
			other.token = jane
			if got := s.do(t, other).want(t, 201, ""); got.body == published.body {
				t.Error("jane got jake's answer")
			}
		})
		t.Run("another session", func(t *testing.T) {
			other := first
			other.token = s.do(t, login("jake@test.com", password)).token(t)
			wantReplay(t, published, s.do(t, other))
		})
		t.Run("nobody", func(t *testing.T) {
			other := first
			other.token = ""
			s.do(t, other).wantError(t, 401, "token", "is missing")
		})
		t.Run("strangers with one key", func(t *testing.T) {
			for _, name := range []string{"ann", "bob"} {
				s.do(t, registration(name, name+"@test.com", password).with("Idempotency-Key", "1")).want(t, 201, "")
			}
			s.do(t, login("ann@test.com", password+"!").with("Idempotency-Key", "1")).wantWrong(t)
		})
		t.Run("reading", func(t *testing.T) {
			read := get("/api/user", jake).with("Idempotency-Key", "1")
			if got := s.do(t, read).want(t, 200, ""); got.header.Get("Idempotent-Replayed") != "" {
				t.Error("GET was replayed")
			}
		})
		for name, key := range map[string]string{
			"empty": "", "too long": strings.Repeat("x", 256), "with a blank": "a b", "not ASCII": "schlüssel",
		} {
			t.Run("a key that is "+name, func(t *testing.T) {
				s.do(t, publishingAs(jake, "None").with("Idempotency-Key", key)).
					wantError(t, 422, "idempotency-key", "must be 1 to 255 visible ASCII characters, once")
			})
		}
		t.Run("two keys", func(t *testing.T) {
			s.raw(t, "POST /api/profiles/jane/follow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+jake+
				"\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 0\r\n\r\n").
				wantError(t, 422, "idempotency-key", "must be 1 to 255 visible ASCII characters, once")
		})
		t.Run("the longest key", func(t *testing.T) {
			long := publishingAs(jake, "Long").with("Idempotency-Key", strings.Repeat("~", 255))
			wantReplay(t, s.do(t, long).want(t, 201, ""), s.do(t, long))
		})
	})
}

// TestRefusalsAreTriedAgain: what was refused has changed nothing, and is carried out once nothing is in its way.
func TestRefusalsAreTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		follow := keyed(post("/api/profiles/jane/follow", jake))
		for range 2 {
			if got := s.do(t, follow).want(t, 404, ""); got.header.Get("Idempotent-Replayed") != "" {
				t.Error("a refusal was replayed")
			}
		}
		s.register(t, "jane")
		wantReplay(t, s.do(t, follow).want(t, 200, ""), s.do(t, follow))
		wantSame(t, "keys that are kept", 1, s.keysKept(t))
	})
}

// keysKept counts the keys that are kept, past the program.
func (s *server) keysKept(t testing.TB) (count int) {
	t.Helper()
	for _, pool := range s.Store.Pools() {
		if err := pool.QueryRowContext(t.Context(), "select count(*) from idempotency_keys").Scan(&count); err != nil {
			t.Fatal(err)
		}
	}
	return count
}

// TestGuessesWithKeysCount: whoever guesses with a key is as slow as without, whatever becomes of the key.
func TestGuessesWithKeysCount(t *testing.T) {
	throttled(t, 3, 8, 20, func(t *testing.T, s *server) {
		s.register(t, "jake")
		guess := keyed(login("jake@test.com", "wrong"))
		for range 3 {
			s.do(t, guess).wantWrong(t)
		}
		wantTooMany(t, s.do(t, guess), 10)
		wantTooMany(t, s.do(t, keyed(login("jake@test.com", password))), 10)
		s.clock.Advance(10 * time.Second)
		right := keyed(login("jake@test.com", password))
		in := s.do(t, right).want(t, 200, "")
		for range 9 { // which count for nothing: no password is looked at
			wantReplay(t, in, s.do(t, right))
		}
	})
}

// TestAnswersAreForgotten after a day by the server's clock, whatever else that does.
func TestAnswersAreForgotten(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		enter := keyed(login("jake@test.com", password))
		in := s.do(t, enter).want(t, 200, "")
		s.clock.Advance(-48 * time.Hour)
		wantReplay(t, in, s.do(t, enter))
		s.clock.Advance(72*time.Hour - time.Millisecond)
		s.upkeep(t).Sweep(t.Context())
		wantReplay(t, in, s.do(t, enter))
		s.clock.Advance(time.Millisecond)
		anew := s.do(t, enter).want(t, 200, "")
		if anew.token(t) == in.token(t) {
			t.Error("the answer is kept for more than a day")
		}
		wantReplay(t, anew, s.do(t, enter))
		wantSame(t, "keys", 1, s.keysKept(t))
		s.clock.Advance(24 * time.Hour)
		s.upkeep(t).Sweep(t.Context())
		wantSame(t, "keys after the sweep", 0, s.keysKept(t))
	})
}

// TestAnswersRestSealed: nothing of an answer, of a key, or of a request stands in the database in the clear.
func TestAnswersRestSealed(t *testing.T) {
	eachWithDatabase(t, func(t *testing.T, s *server, url string) {
		s.register(t, "jake")
		enter := login("jake@test.com", password).with("Idempotency-Key", "a-key-that-nobody-has")
		token := s.do(t, enter).token(t)
		var sealed []byte
		var all string
		rows, err := storetest.PastStore(t, url).QueryContext(t.Context(),
			"select scope, request, sealed from idempotency_keys")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var scope, request []byte
			if err := rows.Scan(&scope, &request, &sealed); err != nil {
				t.Fatal(err)
			}
			all += string(scope) + string(request) + string(sealed)
		}
		if err := rows.Err(); err != nil || len(sealed) < len(token) {
			t.Fatal("what is kept: ", len(sealed), err)
		}
		for _, secret := range []string{token, "jake@test.com", password, "a-key-that-nobody-has", `"status"`} {
			if strings.Contains(all, secret) {
				t.Errorf("%s stands in the clear", secret)
			}
		}
		// What is sealed for one request does not open as the answer to another.
		other := keyed(login("jake@test.com", password))
		s.do(t, other).want(t, 200, "")
		if err := storetest.Execute(t, url, `update idempotency_keys set sealed =
			(select sealed from idempotency_keys order by scope limit 1)`); err != nil {
			t.Fatal(err)
		}
		got := []int{s.do(t, enter).status, s.do(t, other).status}
		slices.Sort(got)
		wantSame(t, "statuses", []int{200, 500}, got)
	})
}

// TestEndingOneself: a request that ends its own session gets its answer again, although its token is refused. Nothing
// else does that comes with the token.
func TestEndingOneself(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for name, ending := range map[string]func(token string) call{
			"logout":   func(token string) call { return post("/api/users/logout", token) },
			"by id":    func(token string) call { return del("/api/user/sessions/"+sessionID(t, token), token) },
			"deletion": func(token string) call { return leaving(token, password) },
		} {
			t.Run(name, func(t *testing.T) {
				user := strings.ReplaceAll(name, " ", "")
				token := s.register(t, user)
				other := s.do(t, login(user+"@test.com", password)).token(t)
				earlier := keyed(changing(token, "bio", "x"))
				s.do(t, earlier).want(t, 200, "")
				end := keyed(ending(token))
				ended := s.do(t, end).want(t, 204, "")
				wantReplay(t, ended, s.do(t, end))
				s.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
				for _, c := range []call{
					earlier, keyed(ending(token)), ending(token),
					changing(token, "bio", "y").with("Idempotency-Key", end.headers["Idempotency-Key"]),
					changing(token, "nonsense", "").with("Idempotency-Key", end.headers["Idempotency-Key"]),
				} {
					s.do(t, c).wantError(t, 401, "token", "is invalid")
				}
				end.token = other
				want := 204 // the same user's key
				if name == "deletion" {
					want = 401
				}
				s.do(t, end).want(t, want, "")
				s.clock.Advance(24 * time.Hour)
				end.token = token
				s.do(t, end).want(t, 401, "")
			})
		}
		t.Run("by somebody else", func(t *testing.T) {
			token := s.register(t, "mary")
			change := keyed(changing(token, "bio", "x"))
			s.do(t, change).want(t, 200, "")
			s.do(t, post("/api/users/logout", token)).want(t, 204, "")
			s.do(t, change).wantError(t, 401, "token", "is invalid")
		})
	})
}

// TestAnswersGoWithTheAccount, but for the one that says so.
func TestAnswersGoWithTheAccount(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		s.do(t, keyed(changing(token, "bio", "x"))).want(t, 200, "")
		s.do(t, keyed(login("jake@test.com", password))).want(t, 200, "")
		leave := keyed(leaving(token, password))
		s.do(t, leave).want(t, 204, "")
		wantSame(t, "keys", 1, s.keysKept(t))
	})
}

// TestRefreshReusedWithAKey: a leak ends the session although the answer is a refusal, which undoes nothing.
func TestRefreshReusedWithAKey(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		first := s.refreshToken(t)
		next := s.do(t, sessionCall("/api/sessions/refresh", "refreshToken", first)).want(t, 200, "")
		access, _ := next.at(t, "session", "accessToken").(string)
		s.do(t, get("/api/user", access)).want(t, 200, "")
		s.clock.Advance(time.Minute)
		s.do(t, keyed(sessionCall("/api/sessions/refresh", "refreshToken", first))).
			wantError(t, 401, "refreshToken", "is invalid")
		s.do(t, get("/api/user", access)).wantError(t, 401, "token", "is invalid")
	})
}

// TestAnAccountKeepsTheNewestAnswers, so that nobody fills the disk.
func TestAnAccountKeepsTheNewestAnswers(t *testing.T) {
	eachWithDatabase(t, func(t *testing.T, s *server, url string) {
		token := s.register(t, "jake")
		fill := func(rows, size int) {
			t.Helper()
			scope := "cast(n || '-%d' as blob)"
			if !strings.HasPrefix(url, "sqlite:") {
				scope = "(n || '-%d')::bytea"
			}
			insert := fmt.Sprintf(`insert into idempotency_keys
				(scope, request, user_id, session_id, sealed, size, promises, expires_at)
				with recursive n (n) as (select 1 union all select n + 1 from n where n < %d)
				select `+scope+`, '', 1, '', '', %d, false, '2026-02-18 04:00:00+00:00' from n`, rows, size, size)
			if err := storetest.Execute(t, url, insert); err != nil {
				t.Fatal(err)
			}
		}
		fill(identity.MostAnswers+20, 100)
		change := keyed(changing(token, "bio", "x"))
		changed := s.do(t, change).want(t, 200, "")
		wantSame(t, "keys", identity.MostAnswers, s.keysKept(t))
		fill(10, 50)
		s.do(t, keyed(changing(token, "bio", "z"))).want(t, 200, "")
		wantSame(t, "keys while they are a few too many", identity.MostAnswers+11, s.keysKept(t))
		fill(10, 51)
		s.do(t, keyed(changing(token, "bio", "z"))).want(t, 200, "")
		wantSame(t, "keys after that", identity.MostAnswers, s.keysKept(t))
		fill(3, identity.MostAnswerBytes/2)
		s.do(t, keyed(changing(token, "bio", "y"))).want(t, 200, "")
		if kept := s.keysKept(t); kept > identity.MostAnswers {
			t.Errorf("%d keys are kept", kept)
		}
		wantReplay(t, changed, s.do(t, change))
	})
}

// TestTokensStayWhereTheyAre: a device that sends what another one has sent gets the same answer, with its own token.
func TestTokensStayWhereTheyAre(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		first := s.register(t, "jake")
		second := s.do(t, login("jake@test.com", password)).token(t)
		change := keyed(changing(first, "bio", "I work at statefarm"))
		wantSame(t, "the first one's token", first, s.do(t, change).token(t))
		change.token = second
		again := s.do(t, change)
		wantSame(t, "replayed", "true", again.header.Get("Idempotent-Replayed"))
		wantSame(t, "the second one's token", second, again.token(t))
	})
}

// TestEndedTokensReadNothing: the key of a logout lets a token that has ended come to the answer to that logout alone.
func TestEndedTokensReadNothing(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		end := keyed(post("/api/users/logout", token))
		s.do(t, end).want(t, 204, "")
		for _, method := range []string{"GET", "HEAD"} {
			for _, path := range []string{"/api/user", "/api/user/sessions", "/api/articles/feed", "/api/user/events"} {
				read := call{method: method, path: path, token: token, headers: end.headers}
				wantSame(t, method+" "+path, 401, s.do(t, read).status)
			}
		}
		wantSame(t, "a change", 401, s.do(t, post("/api/profiles/jake/follow", token).with("Idempotency-Key",
			end.headers["Idempotency-Key"])).status)
	})
}

// TestMailWithAKey: a message goes out once, and at once.
func TestMailWithAKey(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s = newServerOn(t, s.Store, func(o *app.Options) { o.EmailVerification = identity.VerificationRequired })
		ask := keyed(registration("jake", "jake@test.com", password))
		wantReplay(t, s.do(t, ask).want(t, 202, ""), s.do(t, ask))
		s.wantMail(t, identity.MailWaiting)
	})
}
