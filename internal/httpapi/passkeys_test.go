package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"conduit/api"
	"conduit/internal/app"
	"conduit/internal/identity"
)

func TestPasskeyLife(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone, key := s.register(t, "jake"), newAuthenticator(), newSecurityKey()
		options := s.creationOptions(t, jake)
		wantSame(t, "domain", api.RelyingPartyEntity{Id: passkeyDomain, Name: passkeyDomain}, options.Rp)
		if handle := decodedBinary(options.User.Id); len(handle) != 32 || options.User.Name != "jake" {
			t.Errorf("user %+v, want a handle of 32 bytes and the name", options.User)
		}
		wantSame(t, "handle", options.User.Id, s.creationOptions(t, jake).User.Id)

		now := s.clock.Now()
		first := s.addPasskey(t, jake, "", phone)
		s.clock.Advance(time.Minute)
		second := s.addPasskey(t, jake, "  Key  ", key)
		wantSame(t, "first", "Passkey", first.Name)
		wantSame(t, "second", "Key", second.Name)
		wantSame(t, "backup of the first", [2]bool{true, true}, [2]bool{first.BackupEligible, first.BackedUp})
		wantSame(t, "backup of the second", [2]bool{}, [2]bool{second.BackupEligible, second.BackedUp})
		wantSame(t, "list", []api.Passkey{first, second}, s.passkeysOf(t, jake))
		if time.Time(first.CreatedAt) != now || !first.LastUsedAt.IsNull() {
			t.Errorf("%+v, want it made now and never used", first)
		}
		has := s.creationOptions(t, jake).ExcludeCredentials
		if len(has) != 2 || has[0].Id != first.CredentialId || len(has[0].Transports) != 2 {
			t.Errorf("excluded: %+v", has)
		}
		if phone.create(s.creationOptions(t, jake)) != nil {
			t.Error("the phone made a second passkey")
		}

		s.clock.Advance(time.Minute)
		grant := s.passkeyLogin(t, phone)
		wantSame(t, "strength by phone", strength{[]string{"swk", "user", "mfa"}, "aal2", s.clock.Now().Unix()},
			strengthOf(t, grant.AccessToken))
		s.do(t, get("/api/user", grant.AccessToken)).want(t, 200, "")
		wantSame(t, "strength by key", []string{"hwk", "user", "mfa"},
			strengthOf(t, s.passkeyLogin(t, key).AccessToken).Methods)
		phone.flags &^= flagBackedUp
		s.passkeyLogin(t, phone)
		used := s.passkeysOf(t, jake)[0]
		if at, err := used.LastUsedAt.Get(); err != nil || time.Time(at) != s.clock.Now() || used.BackedUp {
			t.Errorf("%+v, want it used now and not backed up any more", used)
		}

		path := "/api/user/passkeys/" + first.Id
		renamed := s.do(t, renamingPasskey(path, jake, "Phone")).want(t, 200, "")
		wantSame(t, "name", "Phone", into[api.PasskeyEnvelope](t, renamed).Passkey.Name)
		s.refuses(t, "a name that shows nothing", renamingPasskey(path, jake, "a\u202eb"), 422,
			"name", "contains characters that are not allowed")
		s.refuses(t, "a blank name", renamingPasskey(path, jake, " "), 422, "name", "can't be blank")

		// The sessions that began with the passkey end with it; one by password does not.
		s.do(t, del(path, jake)).want(t, 204, "")
		s.do(t, get("/api/user", grant.AccessToken)).wantError(t, 401, "token", "is invalid")
		s.do(t, get("/api/user", jake)).want(t, 200, "")
		s.do(t, passkeyLogin(phone.get(s.requestOptions(t)))).wantError(t, 401, "credentials", "invalid")
		s.refuses(t, "removed twice", del(path, jake), 404, "passkey", "not found")
		s.refuses(t, "renamed after that", renamingPasskey(path, jake, "x"), 404,
			"passkey", "not found")
		s.refuses(t, "an id that is none", del("/api/user/passkeys/%00", jake), 422,
			"passkeyId", "contains characters that are not allowed")

		// Whoever removes the passkey that they came with stays.
		own := s.passkeyLogin(t, key).AccessToken
		s.do(t, del("/api/user/passkeys/"+second.Id, own)).want(t, 204, "")
		s.do(t, get("/api/user", own)).want(t, 200, "")
		wantSame(t, "left", 0, len(s.passkeysOf(t, own)))
	})
}

// TestPasskeyAttacks: what a stranger, another user or a page elsewhere may try, each with one thing wrong.
func TestPasskeyAttacks(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		phone, janes := newAuthenticator(), newAuthenticator()
		s.addPasskey(t, jake, "", phone)
		s.addPasskey(t, jane, "", janes)
		client := func(member string, value any) func(*ceremony) {
			return func(c *ceremony) { c.ClientData[member] = value }
		}
		without := func(flag byte) func(*ceremony) { return func(c *ceremony) { c.Flags &^= flag } }
		cut := func(text string) string { return text[:len(text)-1] }
		signed := s.requestOptions(t).Challenge
		mangled := []byte(signed)
		mangled[30] ^= 1

		type refusal struct {
			status         int
			field, message string
		}
		var (
			invalid    = refusal{401, "credentials", "invalid"}
			credential = refusal{422, "credential", "is not valid"}
			challenge  = refusal{422, "challenge", "is not valid any more"}
			origin     = refusal{422, "origin", "is not allowed to use passkeys of this server"}
		)
		const kind = "login "
		login := func(name string, want refusal, change ...func(*ceremony)) {
			t.Helper()
			s.refuses(t, kind+name, passkeyLogin(phone.get(s.requestOptions(t), change...)), want.status, want.field,
				want.message)
		}
		login("on another origin", origin, client("origin", "https://evil.example"))
		login("on a domain below", origin, client("origin", "https://x.conduit.example.com"))
		login("without TLS", origin, client("origin", "http://conduit.example.com"))
		login("on another port", origin, client("origin", "https://conduit.example.com:8443"))
		login("in a frame", invalid, client("crossOrigin", true))
		login("in a frame of another page", invalid, client("crossOrigin", true),
			client("topOrigin", "https://evil.example"))
		login("for another domain", invalid, func(c *ceremony) { c.Domain = "evil.example" })
		login("for the domain above", invalid, func(c *ceremony) { c.Domain = "example.com" })
		login("as a registration", invalid, client("type", "webauthn.create"))
		login("by an own challenge", challenge, client("challenge", encoded(make([]byte, 56))))
		login("by a short challenge", challenge, client("challenge", "AAAA"))
		login("by no challenge", challenge, client("challenge", ""))
		login("by a challenge that was changed", challenge, client("challenge", string(mangled)))
		login("by a challenge to register", challenge, client("challenge", s.creationOptions(t, jake).Challenge))
		login("of a user who was not verified", invalid, without(flagVerified))
		login("of a user who was not there", invalid, without(flagPresent))
		login("after a change that cannot be", invalid, without(flagEligible|flagBackedUp))
		login("with a backup that cannot be", invalid, without(flagEligible))
		login("with the handle of another", invalid, func(c *ceremony) { c.Handle = janes.held[0].handle })
		login("without a handle", invalid, func(c *ceremony) { c.Handle = nil })
		login("by a passkey of another's", invalid, func(c *ceremony) {
			c.Passkey = &heldPasskey{id: janes.held[0].id, key: phone.held[0].key, algorithm: algES256}
		})
		login("by another key", invalid, func(c *ceremony) {
			forged := newPasskey(algES256)
			forged.id = phone.held[0].id
			c.Passkey = forged
		})
		login("by a key of another kind", invalid, func(c *ceremony) {
			forged := newPasskey(algEdDSA)
			forged.id = phone.held[0].id
			c.Passkey = forged
		})
		login("by an unknown passkey", invalid, func(c *ceremony) { c.Passkey = newPasskey(algES256) })

		old := phone.get(s.requestOptions(t))
		s.clock.Advance(5 * time.Minute)
		s.refuses(t, kind+"too late", passkeyLogin(old), 422, "challenge", "is not valid any more")
		s.clock.Advance(-6 * time.Minute)
		s.refuses(t, kind+"by a challenge from the future", passkeyLogin(old), 422,
			"challenge", "is not valid any more")
		s.clock.Advance(6 * time.Minute)
		once := phone.get(s.requestOptions(t))
		s.do(t, passkeyLogin(once)).want(t, 201, "")
		s.refuses(t, kind+"replayed", passkeyLogin(once), 422, "challenge", "is not valid any more")
		other := phone.get(s.requestOptions(t)).(map[string]any)
		other["rawId"] = encoded(janes.held[0].id)
		s.refuses(t, kind+"with two ids", passkeyLogin(other), 422, "rawId", "is not the same as id")
		other["rawId"] = "AAA="
		s.refuses(t, kind+"with what is no base64url", passkeyLogin(other), 422, "rawId", "is not base64url")
		other["id"], other["rawId"] = "A", "A"
		s.refuses(t, kind+"with half a byte", passkeyLogin(other), 422, "rawId", "is not base64url",
			"id", "is not base64url")
		empty := phone.get(s.requestOptions(t)).(map[string]any)
		delete(empty["response"].(map[string]any), "signature")
		s.refuses(t, kind+"without a signature", passkeyLogin(empty), 422, "signature", "can't be blank")
		short := phone.get(s.requestOptions(t)).(map[string]any)
		response := short["response"].(map[string]any)
		response["authenticatorData"] = "AAAA"
		s.refuses(t, kind+"with short data", passkeyLogin(short), 401, "credentials", "invalid")
		response["clientDataJSON"] = encoded([]byte(cut(asJSON(map[string]any{"challenge": signed}))))
		s.refuses(t, kind+"with client data that are no JSON", passkeyLogin(short), 422,
			"challenge", "is not valid any more")

		jake, jane = s.loggedIn(t, "jake"), s.loggedIn(t, "jane")
		add := func(name string, want refusal, change ...func(*ceremony)) {
			t.Helper()
			fresh := newAuthenticator()
			made := fresh.create(s.creationOptions(t, jake), change...)
			s.refuses(t, "registration "+name, addingPasskey(jake, "", made), want.status, want.field, want.message)
		}
		add("on another origin", origin, client("origin", "https://evil.example"))
		add("for another domain", credential, func(c *ceremony) { c.Domain = "evil.example" })
		add("as a login", credential, client("type", "webauthn.get"))
		add("in a frame", credential, client("crossOrigin", true))
		add("of a user who was not verified", credential, without(flagVerified))
		add("of a user who was not there", credential, without(flagPresent))
		add("without a key", credential, without(flagAttested))
		add("with a backup that cannot be", credential, without(flagEligible))
		add("with an algorithm that was not asked for", credential, func(c *ceremony) {
			c.Passkey = newPasskey(algES384)
		})
		add("with a key that says another algorithm", credential, func(c *ceremony) {
			c.Passkey.algorithm = algRS256
		})
		add("with a short id", credential, func(c *ceremony) { c.Passkey.id = c.Passkey.id[:15] })
		add("by a challenge to log in", challenge, client("challenge", s.requestOptions(t).Challenge))
		add("by a challenge of another user", challenge, client("challenge", s.creationOptions(t, jane).Challenge))
		again := s.loggedIn(t, "jake")
		add("by a challenge of another session", challenge, client("challenge", s.creationOptions(t, again).Challenge))
		taken := refusal{409, "credential", "has already been taken"}
		add("of the passkey of another", taken, func(c *ceremony) { c.Passkey.id = janes.held[0].id })
		add("of the same passkey", taken, func(c *ceremony) { c.Passkey.id = phone.held[0].id })
		made := newAuthenticator().create(s.creationOptions(t, jake))
		s.do(t, addingPasskey(jake, "", made)).want(t, 201, "")
		s.refuses(t, "registration replayed", addingPasskey(jake, "", made), 422, "challenge", "is not valid any more")
		late := newAuthenticator().create(s.creationOptions(t, jake))
		s.clock.Advance(5 * time.Minute)
		s.refuses(t, "registration too late", addingPasskey(jake, "", late), 422, "challenge", "is not valid any more")
		bare := newAuthenticator().create(s.creationOptions(t, jake)).(map[string]any)
		delete(bare["response"].(map[string]any), "attestationObject")
		s.refuses(t, "registration without an object", addingPasskey(jake, "", bare), 422,
			"attestationObject", "can't be blank")

		passkeys := s.passkeysOf(t, jane)
		path := "/api/user/passkeys/" + passkeys[0].Id
		s.refuses(t, "another's passkey is not removed", del(path, jake), 404, "passkey", "not found")
		s.refuses(t, "another's passkey is not renamed", renamingPasskey(path, jake, "x"), 404,
			"passkey", "not found")
		wantSame(t, "jane's", passkeys, s.passkeysOf(t, jane))
		wantSame(t, "jake's", 2, len(s.passkeysOf(t, jake)))
	})
}

// loggedIn returns the token of a further session.
func (s *server) loggedIn(t testing.TB, name string) string {
	t.Helper()
	return s.do(t, login(name+"@test.com", password)).token(t)
}

// TestPasskeyAlgorithms: each that is asked for works.
func TestPasskeyAlgorithms(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		options := s.creationOptions(t, jake)
		var asked []int
		for _, parameter := range options.PubKeyCredParams {
			asked = append(asked, int(parameter.Alg))
		}
		wantSame(t, "asked for", []int{algEdDSA, algES256, algRS256}, asked)
		for _, algorithm := range asked {
			phone := newAuthenticator()
			phone.algorithm = algorithm
			s.addPasskey(t, jake, "", phone)
			s.passkeyLogin(t, phone)
		}
	})
}

// TestForeignAttestation: no attestation is asked for, so one that comes all the same is not looked at.
func TestForeignAttestation(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone := s.register(t, "jake"), newAuthenticator()
		made := phone.create(s.creationOptions(t, jake), func(c *ceremony) {
			c.Format, c.Statement = "tpm", map[string]any{"ver": "2.0", "x5c": []any{[]byte("no certificate")}}
		})
		s.do(t, addingPasskey(jake, "", made)).want(t, 201, "")
		s.passkeyLogin(t, phone)
	})
}

// TestCountsThatGoBack: two devices may have the passkey. Its login is refused, and its owner told.
func TestCountsThatGoBack(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, key := s.register(t, "jake"), newSecurityKey()
		passkey := s.addPasskey(t, jake, "", key)
		s.passkeyLogin(t, key)
		s.passkeyLogin(t, key)
		for _, count := range []uint32{2, 1, 0} {
			s.do(t, passkeyLogin(key.get(s.requestOptions(t), func(c *ceremony) { c.Count = count }))).
				wantError(t, 401, "credentials", "invalid")
		}
		const back = "passkey-counted-back"
		wantSame(t, "noticed", []string{back, back, back, "passkey-added"}, noticesOf(s.sessionsOf(t, jake)))
		s.passkeyLogin(t, key) // which has counted on
		wantSame(t, "name", passkey.Name, s.passkeysOf(t, jake)[0].Name)

		// One that has counted may not stop counting.
		s.do(t, passkeyLogin(key.get(s.requestOptions(t), func(c *ceremony) { c.Count = 0 }))).
			wantError(t, 401, "credentials", "invalid")
	})
}

func noticesOf(list api.SessionList) (events []string) {
	for _, notice := range list.Notices {
		events = append(events, notice.Event)
	}
	return events
}

func TestPasskeyLimits(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		before := newAuthenticator().create(s.creationOptions(t, jake))
		for range identity.MostPasskeys {
			s.addPasskey(t, jake, "", newAuthenticator())
		}
		const full = "is one too many (maximum is 20)"
		s.refuses(t, "asked for", post("/api/user/passkeys/challenge", jake), 422, "passkey", full)
		s.refuses(t, "made before", addingPasskey(jake, "", before), 422, "passkey", full)
		s.refuses(t, "asked badly", post("/api/user/passkeys/challenge?a=%zz", jake), 422, "query", "is not valid")
		wantSame(t, "passkeys", identity.MostPasskeys, len(s.passkeysOf(t, jake)))
	})
}

// TestPasskeyChangesGetSlow: each leaves a row in the audit log.
func TestPasskeyChangesGetSlow(t *testing.T) {
	throttled(t, 2, 4, 20, func(t *testing.T, s *server) {
		jake, phone := s.register(t, "jake"), newAuthenticator()
		passkey := s.addPasskey(t, jake, "", phone)
		path := "/api/user/passkeys/" + passkey.Id
		rename := renamingPasskey(path, jake, "x")
		for range 3 {
			s.do(t, rename).want(t, 200, "")
		}
		for name, c := range map[string]call{
			"renaming": rename, "removing": del(path, jake),
			"adding": addingPasskey(jake, "", newAuthenticator().create(s.creationOptions(t, jake))),
		} {
			s.refuses(t, name, c, 429, "user", "too many changes")
		}
		s.clock.Advance(time.Minute)
		s.do(t, del(path, jake)).want(t, 204, "")
	})
}

// TestNoPasskeys: a server that has no domain makes none and logs nobody in with them. Those that there are can be
// removed.
func TestNoPasskeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone := s.register(t, "jake"), newAuthenticator()
		passkey := s.addPasskey(t, jake, "", phone)
		made, signed := newAuthenticator().create(s.creationOptions(t, jake)), phone.get(s.requestOptions(t))
		s = newServerOn(t, s.Store, func(o *app.Options) { o.PasskeyRPID, o.PasskeyOrigins = "", nil })
		for name, c := range map[string]call{
			"begin to add": post("/api/user/passkeys/challenge", jake), "add": addingPasskey(jake, "", made),
			"begin to log in": post("/api/sessions/passkey-challenge", ""), "log in": passkeyLogin(signed),
		} {
			s.refuses(t, name, c, 404, "passkeys", "not found")
		}
		wantSame(t, "list", []api.Passkey{passkey}, s.passkeysOf(t, jake))
		s.do(t, del("/api/user/passkeys/"+passkey.Id, jake)).want(t, 204, "")
	})
}

// TestPasskeysOfOthers that cannot log in: a disabled user, and one who is gone.
func TestPasskeysOfOthers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, name := range []string{"jake", "jane"} {
			token, phone := s.register(t, name), newAuthenticator()
			s.addPasskey(t, token, "", phone)
			if name == "jake" {
				s.disable(t, name)
			} else {
				s.do(t, leaving(token, password)).want(t, 204, "")
			}
			s.refuses(t, name, passkeyLogin(phone.get(s.requestOptions(t))), 401, "credentials", "invalid")
		}
	})
}

// TestPasskeyOfMuch: an account that takes a while to delete has no passkey from the beginning of that.
func TestPasskeyOfMuch(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone := s.register(t, "jake"), newAuthenticator()
		s.addPasskey(t, jake, "", phone)
		for i := range 60 {
			s.do(t, post("/api/articles", jake, wrapped("article", []any{
				"title", fmt.Sprint("Title ", i), "description", "d", "body", "b", "tagList", tagsOf(i),
			}))).want(t, 201, "")
		}
		s.do(t, leaving(jake, password)).want(t, 204, "")
		left, err := s.Store.Deleting(t.Context(), 1)
		if err != nil || !left {
			t.Fatalf("nothing is left of the account: %v", err)
		}
		s.do(t, passkeyLogin(phone.get(s.requestOptions(t)))).wantError(t, 401, "credentials", "invalid")
		s.addPasskey(t, s.register(t, "jane"), "", phone) // the authenticator is free again
	})
}

// tagsOf returns ten tags of an article.
func tagsOf(article int) (tags []string) {
	for i := range 10 {
		tags = append(tags, fmt.Sprint("t", article, "x", i))
	}
	return tags
}

// TestAnsweredChallengesGo when nobody can answer them any more, and not before.
func TestAnsweredChallengesGo(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone := s.register(t, "jake"), newAuthenticator()
		s.addPasskey(t, jake, "", phone)
		once := phone.get(s.requestOptions(t))
		s.do(t, passkeyLogin(once)).want(t, 201, "")
		sweep := func(want int) {
			t.Helper()
			if err := s.Passkeys.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			// What is left would be removed by a sweep of long after.
			left, err := s.Store.SweepChallenges(t.Context(), s.clock.Now().Add(-time.Hour), 10)
			if err != nil || left != want {
				t.Errorf("%d left, %v", left, err)
			}
		}
		s.clock.Advance(64 * time.Minute)
		sweep(0)
		s.clock.Advance(-64 * time.Minute) // a clock that is set back finds the note
		s.do(t, passkeyLogin(once)).wantError(t, 422, "challenge", "is not valid any more")
		s.clock.Advance(65 * time.Minute)
		gone, err := s.Store.SweepChallenges(t.Context(), s.clock.Now().Add(-time.Hour), 10)
		wantSame(t, "swept", 2, gone)
		if err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(-65 * time.Minute)
	})
}
