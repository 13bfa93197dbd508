package httpapi_test

import (
	"testing"
	"time"

	"conduit/api"
	"conduit/internal/app"
)

// proofOptions is what a browser needs to prove by passkey that the session's user is still there.
func (s *server) proofOptions(t testing.TB, token string) api.CredentialRequestOptions {
	t.Helper()
	got := s.do(t, post("/api/user/proofs/passkey-challenge", token)).want(t, 200, "")
	return into[api.RequestOptionsEnvelope](t, got).PublicKey
}

func provingBy(token string, credential any) call {
	return post("/api/user/proofs/passkey", token, wrapped("proof", []any{"credential", credential}))
}

// TestPasskeyProof: a passkey proves as much as a password and a code, in the session that asked.
func TestPasskeyProof(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone := s.withApp(t, "jake"), newAuthenticator()
		passkey := s.addPasskey(t, jake.token, "", phone)
		asking := asksForProof(t, s)
		s.clock.Advance(time.Hour)
		asking.do(t, changing(jake.token, "password", "another password")).wantStale(t)

		options := asking.proofOptions(t, jake.token)
		if allowed := options.AllowCredentials; len(allowed) != 1 || allowed[0].Id != passkey.CredentialId {
			t.Errorf("allowed: %+v, want jake's passkey", allowed)
		}
		got := asking.do(t, provingBy(jake.token, phone.get(options))).want(t, 200, "")
		proof := into[api.ProofEnvelope](t, got).Proof
		wantSame(t, "proof", api.Proof{
			Amr: []string{"pwd", "otp", "mfa", "swk", "user"}, Acr: "aal2", ProvedAt: api.Timestamp(s.clock.Now()),
		}, proof)
		wantSame(t, "in the list", proof.ProvedAt, s.sessionsOf(t, jake.token).Sessions[0].ProvedAt)
		asking.do(t, changing(jake.token, "password", "another password")).want(t, 200, "")
	})
}

func TestAttacksOnPasskeyProofs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		phone, janes := newAuthenticator(), newAuthenticator()
		s.addPasskey(t, jake, "", phone)
		s.addPasskey(t, jane, "", janes)
		other := s.loggedIn(t, "jake")
		s.clock.Advance(time.Hour)
		challenge := func(text string) func(*ceremony) {
			return func(c *ceremony) { c.ClientData["challenge"] = text }
		}
		refused := func(name, field, message string, by *authenticator, change ...func(*ceremony)) {
			t.Helper()
			c := provingBy(jake, by.get(s.proofOptions(t, jake), change...))
			s.refuses(t, name, c, 422, field, message)
		}
		const over = "is not valid any more"
		refused("the passkey of another", "credential", "is not valid", janes)
		refused("an unknown passkey", "credential", "is not valid", phone, func(c *ceremony) {
			c.Passkey = newPasskey(algES256)
		})
		refused("of a user who was not verified", "credential", "is not valid", phone, func(c *ceremony) {
			c.Flags &^= flagVerified
		})
		refused("on another origin", "origin", "is not allowed to use passkeys of this server", phone,
			func(c *ceremony) { c.ClientData["origin"] = "https://evil.example" })
		refused("a challenge to log in", "challenge", over, phone, challenge(s.requestOptions(t).Challenge))
		refused("that of another session", "challenge", over, phone, challenge(s.proofOptions(t, other).Challenge))
		refused("that of another user", "challenge", over, phone, challenge(s.proofOptions(t, jane).Challenge))
		s.refuses(t, "for a login", passkeyLogin(phone.get(s.requestOptions(t),
			challenge(s.proofOptions(t, jake).Challenge))), 422, "challenge", over)

		late := phone.get(s.proofOptions(t, jake))
		s.clock.Advance(5 * time.Minute)
		s.refuses(t, "too late", provingBy(jake, late), 422, "challenge", over)
		s.do(t, post("/api/user/passkeys/challenge", jake)).wantStale(t) // none of these was a proof

		signed := phone.get(s.proofOptions(t, jake))
		s.refuses(t, "without a token", provingBy("", signed), 401, "token", "is missing")
		s.do(t, provingBy(jake, signed)).want(t, 200, "")
		s.refuses(t, "once more", provingBy(jake, signed), 422, "challenge", over)
		s.do(t, post("/api/user/passkeys/challenge", jake)).want(t, 200, "")
		s.do(t, post("/api/user/passkeys/challenge", other)).wantStale(t) // that session's user may be elsewhere

		failed := 0
		for _, event := range s.events(t) {
			if event.Action == "factor-failed" {
				failed++
				wantSame(t, "about", "user:1", event.Target)
			}
		}
		wantSame(t, "failures on record", 3, failed)
	})
}

// TestNoPasskeyProof: neither where there are no passkeys, nor for somebody who has none.
func TestNoPasskeyProof(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane, phone := s.register(t, "jake"), s.register(t, "jane"), newAuthenticator()
		s.addPasskey(t, jake, "", phone)
		const path = "/api/user/proofs/passkey-challenge"
		s.refuses(t, "of somebody without", post(path, jane), 404, "passkeys", "not found")
		s.refuses(t, "asked badly", post(path+"?a=%zz", jake), 422, "query", "is not valid")
		signed := provingBy(jake, phone.get(s.proofOptions(t, jake)))
		off := newServerOn(t, s.Store, func(o *app.Options) { o.PasskeyRPID, o.PasskeyOrigins = "", nil })
		off.refuses(t, "begun", post(path, jake), 404, "passkeys", "not found")
		off.refuses(t, "ended", signed, 404, "passkeys", "not found")
	})
}

// TestPasskeyProofsAreCounted: each leaves rows, so that there is an end to them.
func TestPasskeyProofsAreCounted(t *testing.T) {
	throttled(t, 2, 4, 20, func(t *testing.T, s *server) {
		jake, phone := s.register(t, "jake"), newAuthenticator()
		s.addPasskey(t, jake, "", phone)
		for range 4 {
			s.do(t, provingBy(jake, phone.get(s.proofOptions(t, jake)))).want(t, 200, "")
		}
		again := provingBy(jake, phone.get(s.proofOptions(t, jake)))
		s.refuses(t, "once more", again, 429, "credentials", "too many attempts")
	})
}
