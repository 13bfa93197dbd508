package httpapi_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/api"
	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// listPath is the path of the first list under the key that signs.
func (s *server) listPath() string {
	kid := ""
	for _, key := range s.Keys.Keys() {
		if key.State == "active" {
			kid = key.ID
		}
	}
	return "/api/status-lists/" + kid + ".0"
}

// statusClaims are those of a token or of a list that have to do with lists.
type statusClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	TTL      int64  `json:"ttl"`
	List     struct {
		Bits int    `json:"bits"`
		List string `json:"lst"`
	} `json:"status_list"`
	Status struct {
		List struct {
			Index int    `json:"idx"`
			URI   string `json:"uri"`
		} `json:"status_list"`
	} `json:"status"`
}

func claimsOf(t testing.TB, token string) (claims statusClaims) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// readList reads the list that a token names, as a service would that has the public keys and nothing else. It returns
// the bits.
func (s *server) readList(t testing.TB, token string) []byte {
	t.Helper()
	uri := claimsOf(t, token).Status.List.URI
	path, below := strings.CutPrefix(uri, issuer)
	if !below {
		t.Fatalf("a list at %s", uri)
	}
	got := s.do(t, get(path, "")).want(t, 200, "")
	keys, end := into[api.JwkSet](t, s.do(t, get("/.well-known/jwks.json", ""))), strings.LastIndexByte(got.body, '.')
	signature, err := base64.RawURLEncoding.DecodeString(got.body[end+1:])
	if err != nil || !slices.ContainsFunc(keys.Keys, func(key api.Jwk) bool {
		public, err := base64.RawURLEncoding.DecodeString(key.X)
		return err == nil && ed25519.Verify(public, []byte(got.body[:end]), signature)
	}) {
		t.Fatal("no published key has signed the list")
	}
	list := claimsOf(t, got.body)
	wantSame(t, "sub", uri, list.Subject)
	return unpacked(t, list)
}

func unpacked(t testing.TB, list statusClaims) []byte {
	t.Helper()
	packed, err := base64.RawURLEncoding.DecodeString(list.List.List)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := io.ReadAll(reader)
	if err != nil || len(bits) != 1<<14 {
		t.Fatal(len(bits), err)
	}
	return bits
}

// ended reports whether the list says of a token that it has ended.
func (s *server) ended(t testing.TB, token string) bool {
	t.Helper()
	index := claimsOf(t, token).Status.List.Index
	return s.readList(t, token)[index/8]&(1<<(index%8)) != 0
}

// TestStatusList: what a list says of itself, and who may ask for it.
func TestStatusList(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		claims := claimsOf(t, token).Status.List
		wantSame(t, "uri", issuer+s.listPath(), claims.URI)
		if claims.Index < 0 || claims.Index >= identity.StatusListSize {
			t.Errorf("idx %d", claims.Index)
		}
		path := s.listPath()
		got := s.do(t, get(path, "").with("Origin", "https://elsewhere.test")).want(t, 200, "")
		for name, want := range map[string]string{
			"Content-Type": "application/statuslist+jwt", "Cache-Control": "public, max-age=5",
			"Access-Control-Allow-Origin": "*",
		} {
			wantSame(t, name, want, got.header.Get(name))
		}
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(got.body, ".")[0])
		if err != nil {
			t.Fatal(err)
		}
		kid := strings.TrimSuffix(strings.TrimPrefix(path, "/api/status-lists/"), ".0")
		wantSame(t, "header", decoded(t, `{"alg":"EdDSA","kid":"`+kid+`","typ":"statuslist+jwt"}`),
			decoded(t, string(header)))
		list, now := claimsOf(t, got.body), s.clock.Now().Unix()
		list.List.List = ""
		want := statusClaims{Issuer: issuer, Subject: claims.URI, IssuedAt: now, Expires: now + 60, TTL: 5}
		want.List.Bits = 1
		wantSame(t, "claims", want, list)
		s.do(t, get("/api/user", got.body)).wantError(t, 401, "token", "is invalid") // it is no access token
		s.do(t, revoking(got.body)).want(t, 400,
			`{"error":"unsupported_token_type","errors":{"tokenType":["is not supported"]}}`)

		s.wantUnchanged(t, get(path, ""), got)
		s.do(t, call{method: "HEAD", path: path}).want(t, 200, "")
		s.clock.Advance(5 * time.Second)
		later := s.do(t, get(path, ""))
		wantSame(t, "iat of a later one", now+5, claimsOf(t, later.body).IssuedAt)
		s.do(t, post("/api/users/logout", token)).want(t, 204, "")
		if changed := s.do(t, get(path, "").with("If-None-Match", later.header.Get("ETag"))); changed.status != 200 {
			t.Errorf("status %d after a logout", changed.status)
		}
	})
}

// TestStatusListKnowsEveryEnding: however a session ends, its bit is set once that was answered. Other bits are not.
func TestStatusListKnowsEveryEnding(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		witness := s.register(t, "witness")
		accounts := &identity.Accounts{
			Store: s.Store, Sessions: s.Store, Audit: s.Store, Passwords: s.Users.Passwords, Now: s.clock.Now,
		}
		onUser := func(name string, act func(context.Context, identity.User) error) {
			t.Helper()
			user, err := accounts.Find(t.Context(), name)
			if err == nil {
				err = act(t.Context(), user)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for what, end := range map[string]func(name, token, other string){
			"logout":    func(_, token, _ string) { s.do(t, post("/api/users/logout", token)).want(t, 204, "") },
			"by revoke": func(_, token, _ string) { s.do(t, revoking(token)).want(t, 200, "") },
			"one of one's own": func(_, token, other string) {
				s.do(t, del("/api/user/sessions/"+s.sessionOf(t, token).ID, other)).want(t, 204, "")
			},
			"all others": func(_, _, other string) { s.do(t, del("/api/user/sessions", other)).want(t, 204, "") },
			"another password": func(_, _, other string) {
				s.do(t, changing(other, "password", "another password")).want(t, 200, "")
			},
			"another email": func(name, _, other string) {
				s.do(t, changing(other, "email", name+"2@test.com")).want(t, 200, "")
			},
			"too many sessions": func(name, _, other string) {
				s.Sessions.Max = 2
				s.clock.Advance(time.Second)
				s.do(t, get("/api/user", other)).want(t, 200, "")
				s.do(t, login(name+"@test.com", password)).want(t, 200, "")
				s.Sessions.Max = 50
			},
			"a deleted account": func(_, _, other string) { s.do(t, leaving(other, password)).want(t, 204, "") },
			"a disabled account": func(name, _, _ string) {
				onUser(name, func(ctx context.Context, user identity.User) error {
					_, err := accounts.Update(ctx, operator, user.ID, identity.AccountChanges{Disabled: new(true)})
					return err
				})
			},
			"an operator's password": func(name, _, _ string) {
				onUser(name, func(ctx context.Context, user identity.User) error {
					return accounts.SetPassword(ctx, operator, user, "another password")
				})
			},
			"by an operator": func(_, token, _ string) {
				if err := accounts.RevokeSession(t.Context(), operator, s.sessionOf(t, token).ID); err != nil {
					t.Fatal(err)
				}
			},
			"all of a user, by an operator": func(name, _, _ string) {
				onUser(name, func(ctx context.Context, user identity.User) error {
					_, err := accounts.RevokeSessions(ctx, operator, user.ID)
					return err
				})
			},
		} {
			t.Run(what, func(t *testing.T) {
				name := strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(what)
				token := s.register(t, name)
				other := s.do(t, login(name+"@test.com", password)).token(t)
				if s.ended(t, token) || s.ended(t, other) {
					t.Error("set too early")
				}
				end(name, token, other)
				if !s.ended(t, token) {
					t.Error("not set")
				}
				if s.ended(t, witness) {
					t.Error("another bit is set")
				}
			})
		}
	})
}

// TestStatusOfRefreshedTokens: all tokens of a session have its place, and end with it.
func TestStatusOfRefreshedTokens(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		first := s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password)).tokens(t)
		next := s.refresh(t, first.RefreshToken).tokens(t)
		wantSame(t, "status", claimsOf(t, first.AccessToken).Status, claimsOf(t, next.AccessToken).Status)
		s.do(t, get("/api/user", next.AccessToken)).want(t, 200, "")
		s.clock.Advance(time.Minute)
		s.refresh(t, first.RefreshToken).want(t, 401, "") // stolen: the session ends
		if !s.ended(t, first.AccessToken) || !s.ended(t, next.AccessToken) {
			t.Error("not set")
		}
	})
}

// TestStatusListOfARevokedKey: all its tokens have ended, and those of the next key have not.
func TestStatusListOfARevokedKey(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		session := s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password)).tokens(t)
		s.revokeSigner(t)
		for _, token := range []string{jake, session.AccessToken} {
			if !s.ended(t, token) {
				t.Error("not set")
			}
		}
		next := s.refresh(t, session.RefreshToken).tokens(t)
		if s.ended(t, next.AccessToken) {
			t.Error("set for the next key")
		}
	})
}

// TestStatusListsOfSeveralInstances: each knows what was ended at the others, and what began there.
func TestStatusListsOfSeveralInstances(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		here, there := newServer(t, url, store.Options{}), newServer(t, url, store.Options{})
		here.register(t, "jake")
		for range 10 {
			token := here.do(t, login("jake@test.com", password)).token(t)
			if there.ended(t, token) {
				t.Error("set too early")
			}
			here.do(t, post("/api/users/logout", token)).want(t, 204, "")
			if !there.ended(t, token) {
				t.Error("not set")
			}
		}
	})
}

// TestUnknownStatusLists are not found, and cost as good as nothing however many are asked for.
func TestUnknownStatusLists(t *testing.T) {
	t.Parallel()
	counter := &statementCounter{}
	s := newServer(t, storetest.Postgres(t), store.Options{Tracer: counter})
	path := s.listPath()
	s.do(t, get(path, "")).wantError(t, 404, "list", "not found") // nobody has a place yet
	s.register(t, "jake")
	s.do(t, get(path, "")).want(t, 200, "")
	kid := strings.TrimSuffix(path, ".0")
	for _, other := range []string{
		kid, kid + ".", kid + ".1", kid + ".9999", kid + ".00", kid + ".-1", kid + ".0x", kid + ".10000", kid + ".0.0",
		"/api/status-lists/" + strings.Repeat("A", 43) + ".0", "/api/status-lists/0",
	} {
		s.refuses(t, other, get(other, ""), 404, "list", "not found")
	}
	var calls []call
	for i := range 300 {
		calls = append(calls, get(fmt.Sprintf("/api/status-lists/%043d.%d", i, i), ""), get(path, ""))
	}
	began, before := time.Now(), counter.count.Load()
	wantSame(t, "answers", map[int]int{404: 300, 200: 300}, s.together(t, calls))
	// Each of the two questions rests for at least five milliseconds after it was answered.
	most := 4 + 2*int64(time.Since(began)/(5*time.Millisecond))
	if asked := counter.count.Load() - before; asked > most {
		t.Errorf("%d statements for 600 calls, want at most %d", asked, most)
	}
}

// TestNoStatusListsWithoutURL: a server that does not know where others reach it names no lists.
func TestNoStatusListsWithoutURL(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		plain := newServerOn(t, s.Store, func(o *app.Options) { o.Issuer = "conduit" })
		token := plain.register(t, "jake")
		wantSame(t, "uri", "", claimsOf(t, token).Status.List.URI)
		plain.do(t, get("/api/user", token)).want(t, 200, "")
		plain.do(t, get(s.listPath(), "")).wantError(t, 404, "list", "not found")
		public := newServerOn(t, s.Store, func(o *app.Options) {
			o.Issuer, o.PublicURL = "conduit", "https://conduit.test/blog"
		})
		token = public.do(t, login("jake@test.com", password)).token(t)
		uri := claimsOf(t, token).Status.List.URI
		wantSame(t, "uri", "https://conduit.test/blog"+public.listPath(), uri)
		wantSame(t, "sub", uri, claimsOf(t, public.do(t, get(public.listPath(), "")).body).Subject)
	})
}
