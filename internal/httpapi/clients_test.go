package httpapi_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/api"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// basic is what a resource server sends as Authorization.
func basic(id, secret string) string {
	joined := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(joined))
}

// newClient registers a resource server, and returns what it sends as Authorization.
func (s *server) newClient(t testing.TB) string {
	t.Helper()
	made, err := s.ResourceServers.Add(t.Context(), operator, "a service")
	if err != nil {
		t.Fatal(err)
	}
	return basic(made.ID, made.Secret)
}

// formCall is a form of names and values in turn, by whoever sends this as Authorization.
func formCall(path, authorization string, pairs ...string) call {
	form := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		form.Add(pair[0], pair[1])
	}
	c := call{method: "POST", path: path, body: form.Encode()}.with("Content-Type", formMedia)
	if authorization != "" {
		c = c.with("Authorization", authorization)
	}
	return c
}

const inactive = `{"active":false}`

func introspecting(server, token string) call {
	return formCall("/api/introspect", server, "token", token)
}

func revoking(token string) call { return formCall("/api/revoke", "", "token", token) }

// TestIntrospection: what there is to say of a token that counts.
func TestIntrospection(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		server, begun := s.newClient(t), s.clock.Now()
		session := s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password)).tokens(t)
		s.clock.Advance(time.Minute)
		for _, hint := range []string{"access_token", "refresh_token", "nonsense"} {
			got := s.do(t, formCall("/api/introspect", server, "token", session.AccessToken, "token_type_hint", hint))
			access := into[api.Introspection](t, got.want(t, 200, ""))
			if !strings.HasSuffix(access.Jti, ".0") {
				t.Errorf("jti %s", access.Jti)
			}
			wantSame(t, "an access token", api.Introspection{
				Active: true, TokenType: api.Bearer, Iss: issuer, Sub: "1", Aud: audience, Sid: session.Id,
				Exp: begun.Add(15 * time.Minute).Unix(), Iat: begun.Unix(), Nbf: begun.Unix(), Jti: access.Jti,
				Username: "jake", Amr: []string{"pwd"}, Acr: "aal1", AuthTime: begun.Unix(),
			}, access)
			wantSame(t, "Cache-Control", "no-store", got.header.Get("Cache-Control"))
			got = s.do(t, formCall("/api/introspect", server, "token", session.RefreshToken, "token_type_hint", hint))
			wantSame(t, "a refresh token", api.Introspection{
				Active: true, TokenType: api.RefreshToken, Iss: issuer, Sub: "1", Sid: session.Id,
				Exp: begun.Add(7 * 24 * time.Hour).Unix(), Iat: begun.Unix(), Nbf: begun.Unix(),
				Username: "jake", Amr: []string{"pwd"}, Acr: "aal1", AuthTime: begun.Unix(),
			}, into[api.Introspection](t, got.want(t, 200, "")))
		}
		next := s.refresh(t, session.RefreshToken).tokens(t)
		for what, token := range map[string]string{
			"whose answer may be lost": session.RefreshToken, "the next": next.RefreshToken,
		} {
			if got := s.do(t, introspecting(server, token)); !strings.Contains(got.body, `"active":true`) {
				t.Errorf("a refresh token %s: %s", what, got.body)
			}
		}
		s.clock.Advance(time.Minute)
		s.do(t, introspecting(server, next.AccessToken)).want(t, 200, "") // which is a use
		s.do(t, introspecting(server, session.RefreshToken)).want(t, 200, inactive)
		s.do(t, get("/api/user", next.AccessToken)).want(t, 200, "") // asking has ended nothing
		s.refresh(t, next.RefreshToken).want(t, 200, "")
	})
}

// TestIntrospectionTellsNothing of tokens that do not count, whatever the reason.
func TestIntrospectionTellsNothing(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		server := s.newClient(t)
		logsIn := func(name string) api.SessionTokens {
			t.Helper()
			return s.do(t, sessionCall("/api/sessions", "email", name+"@test.com", "password", password)).tokens(t)
		}
		inactives := func(what string, tokens ...string) {
			t.Helper()
			for _, token := range tokens {
				t.Run(what, func(t *testing.T) { s.do(t, introspecting(server, token)).want(t, 200, inactive) })
			}
		}
		jake, session := s.register(t, "jake"), logsIn("jake")
		access := session.AccessToken
		inactives("not a token", "x", "..", access+"x", access[:len(access)-4]+"AAAA", "Bearer "+access, session.Id,
			session.RefreshToken+"x", strings.ToLower(session.RefreshToken), strings.Repeat("x", 9000),
			access+" "+access, "\u2028"+access)
		inactives("of others", s.forge(t, "https://other.test", audience, s.sessionOf(t, jake)),
			s.forge(t, issuer, "other", s.sessionOf(t, jake)))
		inactives("of a session that never was", s.forge(t, issuer, audience, identity.Session{ID: "x", UserID: 1}))
		inactives("of another user", s.forge(t, issuer, audience, identity.Session{ID: session.Id, UserID: 2}))

		s.do(t, post("/api/users/logout", access)).want(t, 204, "")
		inactives("logged out", access, session.RefreshToken)
		expired := logsIn("jake")
		s.clock.Advance(15*time.Minute + 2*time.Second) // within the leeway of clocks
		s.do(t, get("/api/user", expired.AccessToken)).want(t, 200, "")
		inactives("expired", expired.AccessToken)
		s.clock.Advance(8 * 24 * time.Hour)
		inactives("expired long ago", expired.AccessToken, expired.RefreshToken)
		jake, session = s.do(t, login("jake@test.com", password)).token(t), logsIn("jake")
		s.do(t, changing(jake, "password", "another password")).want(t, 200, "")
		inactives("after a change of the password", session.AccessToken, session.RefreshToken)

		s.register(t, "jane")
		session = logsIn("jane")
		s.disable(t, "jane")
		inactives("of somebody who is disabled", session.AccessToken, session.RefreshToken)
		joe := s.register(t, "joe")
		session = logsIn("joe")
		s.do(t, leaving(joe, password)).want(t, 204, "")
		inactives("of somebody who is gone", joe, session.AccessToken, session.RefreshToken)
		s.register(t, "joan")
		session = logsIn("joan")
		s.revokeSigner(t)
		inactives("of a key that is revoked", session.AccessToken)
		if got := s.do(t, introspecting(server, session.RefreshToken)); !strings.Contains(got.body, `"active":true`) {
			t.Errorf("a refresh token is signed by no key: %s", got.body)
		}
	})
}

// TestClientCredentials: who may ask, and who may not.
func TestClientCredentials(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		servers := s.ResourceServers
		add := func() identity.Credentials {
			t.Helper()
			made, err := servers.Add(t.Context(), operator, "a service")
			if err != nil {
				t.Fatal(err)
			}
			return made
		}
		one, other, removed := add(), add(), add()
		if err := servers.Remove(t.Context(), operator, removed.ID); err != nil {
			t.Fatal(err)
		}
		rotated := func(id string, overlap time.Duration) identity.Credentials {
			t.Helper()
			made, err := servers.Rotate(t.Context(), operator, id, overlap)
			if err != nil {
				t.Fatal(err)
			}
			return made
		}
		first := other
		other = rotated(other.ID, time.Hour)
		accepted := func(what, authorization string) {
			t.Helper()
			t.Run(what, func(t *testing.T) { s.do(t, introspecting(authorization, token)).want(t, 200, "") })
		}
		refused := func(what string, c call) {
			t.Helper()
			t.Run(what, func(t *testing.T) {
				got := s.do(t, c)
				got.want(t, 401, `{"error":"invalid_client","errors":{"client":["is invalid"]}}`)
				wantSame(t, "challenge", `Basic realm="conduit"`, got.header.Get("WWW-Authenticate"))
			})
		}
		by := func(authorization string) call { return introspecting(authorization, token) }
		good := basic(one.ID, one.Secret)
		_, encoded, _ := strings.Cut(good, " ")
		joined := one.ID + ":" + one.Secret
		in64 := base64.StdEncoding.EncodeToString

		accepted("its own", good)
		accepted("in lower case", "basic "+encoded)
		accepted("more encoded than need be", "Basic "+in64([]byte(
			"%"+fmt.Sprintf("%X", one.ID[0])+one.ID[1:]+":%"+fmt.Sprintf("%x", one.Secret[0])+one.Secret[1:])))
		accepted("a new one", basic(other.ID, other.Secret))
		accepted("the one before, for a while", basic(first.ID, first.Secret))
		s.clock.Advance(time.Hour)
		accepted("a new one, later", basic(other.ID, other.Secret))

		refused("rotated", by(basic(first.ID, first.Secret)))
		last := rotated(other.ID, 0)
		refused("rotated at once", by(basic(other.ID, other.Secret)))
		accepted("the newest", basic(last.ID, last.Secret))
		refused("another's secret", by(basic(one.ID, last.Secret)))
		refused("removed", by(basic(removed.ID, removed.Secret)))
		refused("unknown", by(basic(strings.Repeat("A", 26), one.Secret)))
		refused("no id of ours", by(basic("' or 1=1 --", one.Secret)))
		refused("no text", by("Basic "+in64([]byte("\xff\x00:\xff"))))
		refused("a long id", by(basic(strings.Repeat("A", 10_000), one.Secret)))
		refused("a long secret", by(basic(one.ID, strings.Repeat("A", 10_000))))
		refused("a blank more", by(basic(one.ID, one.Secret+" ")))
		refused("another case", by(basic(one.ID, strings.ToLower(one.Secret))))
		refused("lower id", by(basic(strings.ToLower(one.ID), one.Secret)))
		refused("an escape that is none", by("Basic "+in64([]byte(one.ID+":%zz"))))
		refused("no secret", by(basic(one.ID, "")))
		refused("no id", by(basic("", one.Secret)))
		refused("no colon", by("Basic "+in64([]byte(one.ID+one.Secret))))
		refused("the colon encoded", by("Basic "+in64([]byte(one.ID+"%3A"+one.Secret))))
		refused("plain", by("Basic "+joined))
		refused("in another base64", by("Basic "+strings.TrimRight(encoded, "=")+"\u00a0"))
		refused("a user's token", by("Bearer "+token))
		refused("as a user's token", by("Bearer "+one.Secret))
		s.refuses(t, "in the body", formCall("/api/introspect", "", "token", token, "client_id", one.ID,
			"client_secret", one.Secret), 401, "client", "is missing")
		inQuery := introspecting("", token)
		inQuery.path += "?client_id=" + one.ID + "&client_secret=" + one.Secret
		s.refuses(t, "in the query", inQuery, 401, "client", "is missing")
		for _, c := range []call{
			get("/api/user", "").with("Authorization", good),
			formCall("/api/revoke", basic(one.ID, last.Secret), "token", token),
		} {
			if got := s.do(t, c); got.status != 401 {
				t.Errorf("%s: %d", c, got.status)
			}
		}
		s.do(t, get("/api/user", token)).want(t, 200, "") // which nobody has ended
		if rest, err := servers.List(t.Context()); err != nil || len(rest) != 2 || len(rest[1].Secrets) != 1 {
			t.Errorf("%+v, %v", rest, err)
		}
	})
}

// TestTwoAuthorizations: of two headers neither counts.
func TestTwoAuthorizations(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		good := s.newClient(t)
		s.raw(t, "POST /api/introspect HTTP/1.1\r\nHost: x\r\nAuthorization: "+good+"\r\nAuthorization: "+good+
			"\r\nContent-Type: "+formMedia+"\r\nContent-Length: 7\r\n\r\ntoken=x").
			wantError(t, 401, "client", "is invalid")
	})
}

// TestTokenForms: what is sent where else, or twice, does not count.
func TestTokenForms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token, server := s.register(t, "jake"), s.newClient(t)
		for _, path := range []string{"/api/introspect", "/api/revoke"} {
			for what, test := range map[string]struct{ query, body, message string }{
				"in the query alone":       {"?token=" + token, "token_type_hint=access_token", "can't be blank"},
				"in an array":              {"", "token[]=" + token, "can't be blank"},
				"in another case":          {"", "Token=" + token, "can't be blank"},
				"twice":                    {"", "token=" + token + "&token=" + token, "is given more than once"},
				"twice, one of them empty": {"", "token=&token=" + token, "is given more than once"},
				"twice, encoded otherwise": {"", "t%6Fken=x&token=" + token, "is given more than once"},
			} {
				c := formCall(path+test.query, server)
				c.body = test.body
				s.do(t, c).want(t, 400, `{"error":"invalid_request","errors":{"token":["`+test.message+`"]}}`)
				t.Log(what)
			}
		}
		other := introspecting(server, "x")
		other.path += "?token=" + token
		s.do(t, other).want(t, 200, inactive) // the query adds nothing
		s.do(t, get("/api/user", token)).want(t, 200, "")
	})
}

// TestGuessingSecrets gets slow for who guesses, and stays as it is for who knows.
func TestGuessingSecrets(t *testing.T) {
	throttled(t, 3, 8, 5, func(t *testing.T, s *server) {
		token, server := s.register(t, "jake"), s.newClient(t)
		_, id, _ := strings.Cut(s.events(t)[1].Target, ":")
		var guesses []call
		for i := range 64 {
			guesses = append(guesses, introspecting(basic(id, fmt.Sprint("guess ", i)), token))
		}
		wantSame(t, "64 guesses", map[int]int{401: 5, 429: 59}, s.together(t, guesses))
		got := s.do(t, guesses[0])
		wantTooManyOf(t, got, 5, "client", "too many attempts")
		s.do(t, formCall("/api/revoke", basic("unknown", "guess"), "token", token)).want(t, 429,
			`{"error":"temporarily_unavailable","errors":{"client":["too many attempts"]}}`)
		s.do(t, introspecting(server, token)).want(t, 200, "")
		s.do(t, guesses[0].with("X-Forwarded-For", "192.0.2.7")).want(t, 401, "")
		s.clock.Advance(5 * time.Second)
		s.do(t, guesses[0]).want(t, 401, "")
		s.do(t, login("jake@test.com", password)).want(t, 200, "") // is another bucket
		if err := s.Throttle.WriteDown(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		s.wantRows(t, identity.ClientRefused, 7, 7)
		s.wantRows(t, identity.ClientThrottled, 61, 2)
	})
}

// TestUnknownClients are refused after the same work, with the same answer.
func TestUnknownClients(t *testing.T) {
	t.Parallel()
	counter := &statementCounter{}
	s := newServer(t, storetest.Postgres(t), store.Options{Tracer: counter, Lease: time.Hour}) // on any machine
	token, server := s.register(t, "jake"), s.newClient(t)
	made, err := s.ResourceServers.Add(t.Context(), operator, "another")
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, introspecting(server, token)).want(t, 200, "")
	before := counter.count.Load()
	s.do(t, introspecting(server, token)).want(t, 200, "")
	wantSame(t, "statements of an introspection", 1, counter.count.Load()-before)
	var first answer
	for _, id := range []string{made.ID, strings.Repeat("A", 26), "x"} {
		before := counter.count.Load()
		got := s.do(t, introspecting(basic(id, "wrong"), token))
		wantSame(t, "statements for "+id, 2, counter.count.Load()-before) // one is for the audit log
		if first.status == 0 {
			first = got
		}
		if got.status != 401 || got.body != first.body || len(got.header) != len(first.header) {
			t.Errorf("%s: %v, and before %v", id, got, first)
		}
	}
}

// TestRevocation ends the whole session of a token, and nothing else.
func TestRevocation(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		other, server := s.register(t, "jake"), s.newClient(t)
		for what, revoke := range map[string]func(session, next api.SessionTokens) call{
			"by the access token":  func(session, _ api.SessionTokens) call { return revoking(session.AccessToken) },
			"by the refresh token": func(_, next api.SessionTokens) call { return revoking(next.RefreshToken) },
			"by an older refresh token": func(session, _ api.SessionTokens) call {
				return revoking(session.RefreshToken)
			},
			"by a resource server": func(session, _ api.SessionTokens) call {
				return formCall("/api/revoke", server, "token", session.AccessToken)
			},
			"with another hint": func(session, _ api.SessionTokens) call {
				return formCall("/api/revoke", "", "token", session.AccessToken, "token_type_hint", "refresh_token")
			},
			"with a hint of nothing": func(session, _ api.SessionTokens) call {
				return formCall("/api/revoke", "", "token", session.RefreshToken, "token_type_hint", "nonsense")
			},
		} {
			t.Run(what, func(t *testing.T) {
				began := s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password))
				session := began.tokens(t)
				next := s.refresh(t, session.RefreshToken).tokens(t)
				c := revoke(session, next)
				got := s.do(t, c)
				got.want(t, 200, "")
				wantSame(t, "body", "", got.body)
				for _, token := range []string{session.AccessToken, next.AccessToken} {
					s.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
					s.do(t, introspecting(server, token)).want(t, 200, inactive)
				}
				s.refresh(t, next.RefreshToken).wantError(t, 401, "refreshToken", "is invalid")
				s.do(t, c).want(t, 200, "") // once more is as good
				events := s.events(t)
				last := events[len(events)-1]
				if last.Action != identity.TokenRevoked || last.Target != "session:"+session.Id || *last.ActorID != 1 {
					t.Errorf("recorded %+v", last)
				}
			})
		}
		s.do(t, get("/api/user", other)).want(t, 200, "")
		s.do(t, revoking(other)).want(t, 200, "") // one without refresh tokens
		s.do(t, get("/api/user", other)).wantError(t, 401, "token", "is invalid")
	})
}

// TestRevocationOfNothing: tokens that do not count end nothing, and the answer does not say so.
func TestRevocationOfNothing(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		session := s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password)).tokens(t)
		access := session.AccessToken
		s.clock.Advance(16 * time.Minute)
		recorded := len(s.events(t))
		for what, token := range map[string]string{
			"not a token": "x", "an id of a session": session.Id,
			"a made-up refresh token":   session.Id + ".0.AAAA.AAAA",
			"flipped":                   jake[:len(jake)-4] + "AAAA",
			"expired":                   access,
			"too long":                  strings.Repeat("x", 9000),
			"of another session's user": s.forge(t, issuer, audience, identity.Session{ID: session.Id, UserID: 2}),
			"of another issuer":         s.forge(t, "https://other.test", audience, s.sessionOf(t, jake)),
			"altered refresh token":     strings.Replace(session.RefreshToken, ".0.", ".1.", 1),
		} {
			t.Run(what, func(t *testing.T) { s.do(t, revoking(token)).want(t, 200, "") })
		}
		header := base64.RawURLEncoding.EncodeToString([]byte(
			`{"alg":"EdDSA","kid":"` + strings.Repeat("A", 43) + `","typ":"statuslist+jwt"}`))
		ending := jake[strings.IndexByte(jake, '.'):]
		s.do(t, revoking(header+ending)).want(t, 400,
			`{"error":"unsupported_token_type","errors":{"tokenType":["is not supported"]}}`)
		s.do(t, get("/api/user", header+ending)).wantError(t, 401, "token", "is invalid")
		wantSame(t, "events", recorded, len(s.events(t)))
		s.do(t, get("/api/user", jake)).want(t, 200, "")
		s.refresh(t, session.RefreshToken).want(t, 200, "")
	})
}

// TestRevocationIsAwaited: once it was answered, no other instance accepts the token.
func TestRevocationIsAwaited(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		here, there := newServer(t, url, store.Options{}), newServer(t, url, store.Options{})
		here.register(t, "jake")
		server := here.newClient(t)
		for range 5 {
			token := here.do(t, login("jake@test.com", password)).token(t)
			there.do(t, get("/api/user", token)).want(t, 200, "")
			there.do(t, introspecting(server, token)).want(t, 200, "")
			here.do(t, revoking(token)).want(t, 200, "")
			there.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
			there.do(t, introspecting(server, token)).want(t, 200, inactive)
		}
	})
}

// TestRevocationsAtOnce: of many for one session, one is recorded.
func TestRevocationsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		before := len(s.events(t))
		wantSame(t, "answers", map[int]int{200: 20}, s.together(t, slices.Repeat([]call{revoking(token)}, 20)))
		wantSame(t, "recorded", before+1, len(s.events(t)))
	})
}
