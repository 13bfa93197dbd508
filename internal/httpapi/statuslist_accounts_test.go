package httpapi_test

import "testing"

// TestStatusListKnowsEndingsByFactors, passkeys and mail: with each, sessions end, and their bits are set once that was
// answered.
func TestStatusListKnowsEndingsByFactors(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		witness := s.register(t, "witness")
		wantEnded := func(t *testing.T, tokens ...string) {
			t.Helper()
			for i, token := range tokens {
				s.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
				if !s.ended(t, token) {
					t.Errorf("the bit of session %d is not set", i)
				}
			}
			if s.ended(t, witness) {
				t.Error("another bit is set")
			}
		}
		begun := func(t *testing.T, tokens ...string) {
			t.Helper()
			for _, token := range tokens {
				if s.ended(t, token) {
					t.Error("set too early")
				}
			}
		}
		t.Run("passkey", func(t *testing.T) {
			phone, token := newAuthenticator(), s.register(t, "passkey")
			passkey := s.addPasskey(t, token, "", phone)
			first, second := s.passkeyLogin(t, phone).AccessToken, s.passkeyLogin(t, phone).AccessToken
			begun(t, first, second, token)
			s.do(t, del("/api/user/passkeys/"+passkey.Id, token)).want(t, 204, "")
			wantEnded(t, first, second)
			begun(t, token)
		})
		t.Run("app", func(t *testing.T) {
			app := factored{server: s, name: "app", token: s.register(t, "app")}
			before := s.loggedIn(t, "app")
			begun(t, before)
			app.secret = s.enrol(t, app.token).Secret
			s.do(t, confirming(app.token, app.code(t))).want(t, 200, "")
			wantEnded(t, before)
			further := s.do(t, answering(app.challenge(t), app.code(t))).want(t, 201, "").tokens(t).AccessToken
			begun(t, further, app.token)
			s.do(t, removing(app.token, app.code(t))).want(t, 204, "")
			wantEnded(t, further)
			begun(t, app.token)
		})
		t.Run("reset", func(t *testing.T) {
			token, other := s.register(t, "reset"), s.loggedIn(t, "reset")
			s.do(t, askingReset("reset@test.com")).want(t, 202, "")
			begun(t, token, other)
			s.do(t, resetting(s.sentCode(t), "another password")).want(t, 204, "")
			wantEnded(t, token, other)
		})
	})
}
