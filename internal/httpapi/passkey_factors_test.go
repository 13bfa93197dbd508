package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/api"
	"conduit/internal/identity"
)

// challengeOf logs in by password, and returns what is still missing.
func (s *server) challengeOf(t testing.TB, name string) api.Challenge {
	t.Helper()
	got := s.do(t, sessionCall("/api/sessions", "email", name+"@test.com", "password", password)).want(t, 202, "")
	return into[api.ChallengeEnvelope](t, got).Challenge
}

func answeringBy(token string, credential any) call {
	return post("/api/sessions/challenge", "", wrapped("challenge", []any{"token", token, "credential", credential}))
}

// TestPasskeyAsSecondFactor: where an app makes logins two steps, a passkey takes the second one too.
func TestPasskeyAsSecondFactor(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone := s.withApp(t, "jake"), newAuthenticator()
		none := s.challengeOf(t, "jake")
		if none.PublicKey != nil || slices.Contains(none.Factors, "passkey") {
			t.Errorf("%+v, want no word of passkeys", none)
		}
		passkey := s.addPasskey(t, jake.token, "", phone)
		challenge := s.challengeOf(t, "jake")
		wantSame(t, "factors", []string{"totp", "recovery-code", "passkey"}, challenge.Factors)
		if allowed := challenge.PublicKey.AllowCredentials; len(allowed) != 1 || allowed[0].Id != passkey.CredentialId {
			t.Fatalf("allowed: %+v", allowed)
		}
		noHandle := func(c *ceremony) { c.Handle = nil } // as keys do that were told who it is
		signed := phone.get(*challenge.PublicKey, noHandle)
		session := s.do(t, answeringBy(challenge.Token, signed)).want(t, 201, "").tokens(t)
		wantSame(t, "strength", strength{[]string{"pwd", "swk", "user", "mfa"}, "aal2", s.clock.Now().Unix()},
			strengthOf(t, session.AccessToken))
		s.refuses(t, "replayed", answeringBy(challenge.Token, signed), 401, "challenge", "is invalid")

		s.do(t, del("/api/user/passkeys/"+passkey.Id, jake.token)).want(t, 204, "")
		s.do(t, get("/api/user", session.AccessToken)).wantError(t, 401, "token", "is invalid")
	})
}

func TestAttacksOnPasskeyFactors(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.withApp(t, "jake"), s.withApp(t, "jane")
		phone, janes := newAuthenticator(), newAuthenticator()
		s.addPasskey(t, jake.token, "", phone)
		s.addPasskey(t, jane.token, "", janes)
		client := func(member string, value any) func(*ceremony) {
			return func(c *ceremony) { c.ClientData[member] = value }
		}
		refused := func(name string, by *authenticator, field, message string, change ...func(*ceremony)) {
			t.Helper()
			challenge := s.challengeOf(t, "jake")
			signed := by.get(*challenge.PublicKey, change...)
			s.refuses(t, name, answeringBy(challenge.Token, signed), 422, field, message)
			// The login can go on.
			s.do(t, answeringBy(challenge.Token, phone.get(*challenge.PublicKey))).want(t, 201, "")
		}
		const over = "is not valid any more"
		refused("the passkey of another", janes, "credential", "is not valid")
		refused("of a user who was not verified", phone, "credential", "is not valid", func(c *ceremony) {
			c.Flags &^= flagVerified
		})
		refused("an unknown passkey", phone, "credential", "is not valid", func(c *ceremony) {
			c.Passkey = newPasskey(algES256)
		})
		refused("on another origin", phone, "origin", "is not allowed to use passkeys of this server",
			client("origin", "https://evil.example"))
		refused("a challenge to log in", phone, "challenge", over, client("challenge", s.requestOptions(t).Challenge))
		refused("that of another's login", phone, "challenge", over,
			client("challenge", s.challengeOf(t, "jane").PublicKey.Challenge))
		refused("that of another login", phone, "challenge", over,
			client("challenge", s.challengeOf(t, "jake").PublicKey.Challenge))

		second := s.challengeOf(t, "jake")
		s.refuses(t, "for a login by passkey alone", passkeyLogin(phone.get(s.requestOptions(t),
			client("challenge", second.PublicKey.Challenge))), 422, "challenge", over)
		s.refuses(t, "neither code nor passkey", post("/api/sessions/challenge", "",
			wrapped("challenge", []string{"token", second.Token})), 422, "code", "can't be blank")
		s.refuses(t, "with a token that is none", answeringBy("x", phone.get(*second.PublicKey)), 401,
			"challenge", "is invalid")
		s.clock.Advance(5 * time.Minute)
		s.refuses(t, "too late", answeringBy(second.Token, phone.get(*second.PublicKey)), 401,
			"challenge", "has expired")

		// A right passkey once the password is another one.
		third := s.challengeOf(t, "jake")
		s.do(t, changing(jake.token, "password", "another password")).want(t, 200, "")
		s.refuses(t, "after another password", answeringBy(third.Token, phone.get(*third.PublicKey)), 401,
			"challenge", "is invalid")
		for _, event := range s.events(t) {
			if event.Action == "factor-failed" && event.Target != "user:1" {
				t.Errorf("%+v, want it about jake", event)
			}
		}
	})
}

// TestPasskeysTakeAFreshProof: a stolen token does not make a way in that lasts.
func TestPasskeysTakeAFreshProof(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone := s.register(t, "jake"), newAuthenticator()
		passkey := s.addPasskey(t, jake, "", phone)
		made := newAuthenticator().create(s.creationOptions(t, jake))
		s.clock.Advance(10*time.Minute + time.Second)
		s.do(t, post("/api/user/passkeys/challenge", jake)).wantStale(t)
		s.do(t, addingPasskey(jake, "", made)).wantStale(t)
		s.do(t, renamingPasskey("/api/user/passkeys/"+passkey.Id, jake, "x")).want(t, 200, "")
		s.do(t, proving(jake, "password", password)).want(t, 200, "")
		s.addPasskey(t, jake, "", newAuthenticator())
		s.clock.Advance(10*time.Minute + time.Second)
		s.addPasskey(t, s.passkeyLogin(t, phone).AccessToken, "", newAuthenticator()) // a login is a proof

		asking := asksForProof(t, s)
		asking.do(t, del("/api/user/passkeys/"+passkey.Id, jake)).wantStale(t)
		s.do(t, del("/api/user/passkeys/"+passkey.Id, jake)).want(t, 204, "")
	})
}

// TestAuditOfPasskeys: what happens to passkeys is on record, and nothing that somebody sent.
func TestAuditOfPasskeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, key := s.register(t, "jake"), newSecurityKey()
		passkey := s.addPasskey(t, jake, "marker", key)
		path := "/api/user/passkeys/" + passkey.Id
		s.do(t, renamingPasskey(path, jake, "marker too")).want(t, 200, "")
		s.passkeyLogin(t, key)
		unknown := newSecurityKey()
		unknown.held = []*heldPasskey{newPasskey(algEdDSA)}
		s.do(t, passkeyLogin(unknown.get(s.requestOptions(t)))).want(t, 401, "")
		s.do(t, passkeyLogin(key.get(s.requestOptions(t), func(c *ceremony) { c.Flags = 0 }))).want(t, 401, "")
		s.do(t, passkeyLogin(key.get(s.requestOptions(t), func(c *ceremony) { c.Count = 1 }))).want(t, 401, "")
		s.do(t, del(path, jake)).want(t, 204, "")
		var recorded []string
		for _, event := range s.events(t)[1:] { // after the registration
			target, _, _ := strings.Cut(event.Target, ":")
			recorded = append(recorded, string(event.Actor)+" "+string(event.Action)+" "+target)
		}
		wantSame(t, "recorded", []string{
			"user passkey-added passkey", "user passkey-renamed passkey", "user login session",
			"anonymous login-failed credential", "anonymous login-failed user", "anonymous passkey-counted-back user",
			"user passkey-removed passkey",
		}, recorded)
		if columns := asJSON(s.events(t)); strings.Contains(columns, "marker") ||
			strings.Contains(columns, passkey.CredentialId) || strings.Contains(columns, encoded(unknown.held[0].id)) {
			t.Errorf("the audit log holds what was sent: %s", columns)
		}
	})
}

// TestPasskeyChangesAfterTheLogout: between the look at the session and the change any time may pass.
func TestPasskeyChangesAfterTheLogout(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone := s.register(t, "jake"), newAuthenticator()
		passkey := s.addPasskey(t, jake, "", phone)
		other := s.loggedIn(t, "jake")
		caller, err := s.Users.Authenticate(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		made := newAuthenticator().create(s.creationOptions(t, other)).(map[string]any)
		response := made["response"].(map[string]any)
		s.do(t, post("/api/users/logout", other)).want(t, 204, "")
		for name, change := range map[string]func() error{
			"adding": func() error {
				return failure(s.Passkeys.Add(t.Context(), caller, "", identity.Attestation{
					CredentialID: decodedBinary(made["id"].(string)),
					ClientData:   decodedBinary(response["clientDataJSON"].(string)),
					Object:       decodedBinary(response["attestationObject"].(string)),
				}, identity.Client{}))
			},
			"renaming": func() error {
				return failure(s.Passkeys.Rename(t.Context(), caller, passkey.Id, "x", identity.Client{}))
			},
			"removing": func() error { return s.Passkeys.Remove(t.Context(), caller, passkey.Id, identity.Client{}) },
		} {
			wantSame(t, name, identity.SessionOver().Error(), fmt.Sprint(change()))
		}
		wantSame(t, "passkeys", []api.Passkey{passkey}, s.passkeysOf(t, jake))
	})
}

// TestSessionsStayWithTheirPasskey: whoever has somebody's device does not stay logged in by removing another passkey
// with it.
func TestSessionsStayWithTheirPasskey(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone, laptop := s.register(t, "jake"), newAuthenticator(), newAuthenticator()
		lost := s.addPasskey(t, jake, "phone", phone)
		other := s.addPasskey(t, jake, "laptop", laptop)
		thief := s.passkeyLogin(t, phone).AccessToken
		s.do(t, del("/api/user/passkeys/"+other.Id, thief)).want(t, 204, "")
		s.do(t, get("/api/user", thief)).want(t, 200, "")
		s.do(t, del("/api/user/passkeys/"+lost.Id, jake)).want(t, 204, "")
		s.do(t, get("/api/user", thief)).wantError(t, 401, "token", "is invalid")
	})
}

// TestPasskeyLoginsGetSlow: nobody fills the database by logging in, and nobody's logins slow down another's.
func TestPasskeyLoginsGetSlow(t *testing.T) {
	throttled(t, 2, 4, 20, func(t *testing.T, s *server) {
		jakes, janes := newAuthenticator(), newAuthenticator()
		s.addPasskey(t, s.register(t, "jake"), "", jakes)
		s.addPasskey(t, s.register(t, "jane"), "", janes)
		for range 4 {
			s.passkeyLogin(t, jakes)
		}
		s.do(t, passkeyLogin(jakes.get(s.requestOptions(t)))).wantError(t, 429, "credentials", "too many attempts")
		s.passkeyLogin(t, janes)
		s.do(t, login("jake@test.com", password)).want(t, 200, "")
		s.clock.Advance(10 * time.Second)
		s.passkeyLogin(t, jakes)
		if s.recorded(t)[string(identity.LoginThrottled)] == 0 {
			t.Error("nothing was recorded")
		}
	})
}
