package httpapi_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"conduit/api"
	"conduit/internal/identity"
)

// appCode is what an authenticator app shows at a moment.
func appCode(t testing.TB, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// factored is an account with an authenticator app.
type factored struct {
	*server
	name, token, secret string
	recovery            []string
}

// withApp registers a user and adds an authenticator app.
func (s *server) withApp(t testing.TB, name string) factored {
	t.Helper()
	f := factored{server: s, name: name, token: s.register(t, name)}
	f.secret = s.enrol(t, f.token).Secret
	got := s.do(t, confirming(f.token, f.code(t)))
	got.want(t, 200, "")
	f.recovery = into[api.RecoveryCodes](t, got).RecoveryCodes
	return f
}

// code is what the app shows now, after a pause in which the code before has gone.
func (f factored) code(t testing.TB) string {
	t.Helper()
	f.clock.Advance(30 * time.Second)
	return appCode(t, f.secret, f.clock.Now())
}

func (f factored) email() string { return f.name + "@test.com" }

// challenge logs in with the password and returns the token of the challenge.
func (f factored) challenge(t testing.TB) string {
	t.Helper()
	got := f.do(t, sessionCall("/api/sessions", "email", f.email(), "password", password))
	got.want(t, 202, "")
	return into[api.ChallengeEnvelope](t, got).Challenge.Token
}

func (s *server) enrol(t testing.TB, token string) api.Totp {
	t.Helper()
	got := s.do(t, enrolling(token, password))
	got.want(t, 200, "")
	return into[api.TotpEnvelope](t, got).Totp
}

func enrolling(token, password string) call {
	return post("/api/user/factors/totp", token, wrapped("factor", []string{"password", password}))
}

func withCode(code string) string { return wrapped("factor", []string{"code", code}) }

func confirming(token, code string) call { return put("/api/user/factors/totp", token, withCode(code)) }

func removing(token, code string) call { return del("/api/user/factors/totp", token, withCode(code)) }

func renewing(token, code string) call {
	return post("/api/user/factors/recovery-codes", token, withCode(code))
}

func answering(challenge, code string) call {
	return post("/api/sessions/challenge", "", wrapped("challenge", []string{"token", challenge, "code", code}))
}

func proving(token string, pairs ...string) call {
	return post("/api/user/proofs", token, wrapped("proof", pairs))
}

// sessionsBegun are the methods of a user's sessions, the newest first.
func (s *server) sessionsBegun(t testing.TB, token string) (methods []string) {
	t.Helper()
	for _, session := range s.sessionsOf(t, token).Sessions {
		methods = append(methods, strings.Join(session.Amr, " ")+" "+session.Acr)
	}
	return methods
}

// TestTwoStepLogin: the password gives a challenge, and a code of the app or a recovery code the session.
func TestTwoStepLogin(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.withApp(t, "jake")
		got := s.do(t, sessionCall("/api/sessions", "email", "JAKE@test.com", "password", password))
		got.want(t, 202, "")
		challenge := into[api.ChallengeEnvelope](t, got).Challenge
		wantSame(t, "Cache-Control", "no-store", got.header.Get("Cache-Control"))
		wantSame(t, "challenge", api.Challenge{
			Token: challenge.Token, ExpiresAt: api.Timestamp(s.clock.Now().Add(5 * time.Minute)),
			Factors: []string{"totp", "recovery-code"},
		}, challenge)

		s.do(t, answering(challenge.Token, "000000")).wantError(t, 422, "code", "is not right")
		session := s.do(t, answering(challenge.Token, jake.code(t))).want(t, 201, "").tokens(t)
		wantSame(t, "token", strength{[]string{"pwd", "otp", "mfa"}, "aal2", s.clock.Now().Unix()},
			strengthOf(t, session.AccessToken))
		s.do(t, get("/api/user", session.AccessToken)).want(t, 200, "")
		s.refresh(t, session.RefreshToken).want(t, 200, "")

		s.clock.Advance(time.Second)
		recovered := s.do(t, answering(jake.challenge(t), jake.recovery[3])).want(t, 201, "").tokens(t)
		wantSame(t, "sessions", []string{"pwd recovery mfa aal2", "pwd otp mfa aal2", "pwd otp mfa aal2"},
			s.sessionsBegun(t, recovered.AccessToken))
		factors := into[api.FactorsEnvelope](t, s.do(t, get("/api/user/factors", recovered.AccessToken))).Factors
		wantSame(t, "recovery codes left", int32(9), factors.RecoveryCodesLeft)
	})
}

// TestOneStepLogin is RealWorld's: it takes the code beside the password, and asks for it only once that was right.
func TestOneStepLogin(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.withApp(t, "jake")
		s.register(t, "jane")
		withCode := func(password, code string) call {
			return post("/api/users/login", "", userJSON("email", "jake@test.com", "password", password, "code", code))
		}
		s.do(t, login("jake@test.com", password)).wantError(t, 403, "factor", "is required")
		s.do(t, withCode(password, "")).wantError(t, 403, "factor", "is required")
		s.do(t, withCode(password, "123")).wantError(t, 422, "code", "is not right")
		for _, c := range []call{
			login("jake@test.com", "wrong"), withCode("wrong", ""), withCode("wrong", "123"),
			withCode("wrong", jake.code(t)), withCode("wrong", jake.recovery[0]),
		} {
			s.do(t, c).wantWrong(t)
		}
		token := s.do(t, withCode(password, appCode(t, jake.secret, s.clock.Now()))).want(t, 200, "").token(t)
		wantSame(t, "token", strength{[]string{"pwd", "otp", "mfa"}, "aal2", s.clock.Now().Unix()},
			strengthOf(t, token))
		s.do(t, withCode(password, jake.recovery[0])).want(t, 200, "")
		s.do(t, post("/api/users/login", "", userJSON("email", "jane@test.com", "password", password, "code", "123"))).
			want(t, 200, "") // who has no factor needs none
	})
}

// TestEnrolment: an app counts only after the session that began to add it has shown a code of it.
func TestEnrolment(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		began, other := s.register(t, "jake"), s.do(t, login("jake@test.com", password)).token(t)
		code := func(app api.Totp) string { return appCode(t, app.Secret, s.clock.Now()) }
		s.do(t, enrolling(began, "wrong password")).wantError(t, 422, "password", "is not right")
		s.do(t, confirming(began, "123456")).wantError(t, 404, "enrolment", "not found")

		first := s.enrol(t, began)
		if !strings.HasPrefix(first.Url, "otpauth://totp/conduit.test:jake?") ||
			!strings.Contains(first.Url, "secret="+first.Secret) {
			t.Errorf("url %s", first.Url)
		}
		none := into[api.FactorsEnvelope](t, s.do(t, get("/api/user/factors", began))).Factors
		wantSame(t, "is there an app", true, none.TotpSince.IsNull())
		s.do(t, login("jake@test.com", password)).want(t, 200, "") // it counts for nothing yet

		second := s.enrol(t, began)
		s.do(t, confirming(began, code(first))).wantError(t, 422, "code", "is not right")
		s.do(t, confirming(other, code(second))).wantError(t, 404, "enrolment", "not found")
		s.clock.Advance(10 * time.Minute)
		s.do(t, confirming(began, code(second))).wantError(t, 404, "enrolment", "not found")

		third := s.enrol(t, began)
		got := s.do(t, confirming(began, " "+code(third)[:3]+" "+code(third)[3:])) // as apps show it
		codes := into[api.RecoveryCodes](t, got.want(t, 200, "")).RecoveryCodes
		slices.Sort(codes)
		wantSame(t, "recovery codes", 10, len(slices.Compact(codes)))
		s.do(t, get("/api/user", other)).wantError(t, 401, "token", "is invalid")
		s.do(t, get("/api/user", began)).want(t, 200, "")
		wantSame(t, "sessions", []string{"pwd otp mfa aal2"}, s.sessionsBegun(t, began))

		s.do(t, enrolling(began, password)).wantError(t, 409, "factor", "is already there")
	})
}

// TestConfirmedMeanwhile: of two sessions that add an app, the first one does, and ends the other.
func TestConfirmedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		tokens := []string{s.register(t, "jake"), s.do(t, login("jake@test.com", password)).token(t)}
		var calls []call
		for _, token := range tokens {
			calls = append(calls, confirming(token, appCode(t, s.enrol(t, token).Secret, s.clock.Now())))
		}
		got := s.together(t, calls)
		if got[200] != 1 || got[200]+got[401]+got[409] != 2 {
			t.Errorf("answers %v", got)
		}
	})
}

// TestRecoveryCodes are good once each, however people write them, and new ones end those before.
func TestRecoveryCodes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.withApp(t, "jake")
		former := jake.recovery
		got := s.do(t, renewing(jake.token, " "+strings.ToUpper(strings.ReplaceAll(former[0], "-", " "))))
		codes := into[api.RecoveryCodes](t, got.want(t, 200, "")).RecoveryCodes
		for _, code := range former {
			s.do(t, renewing(jake.token, code)).wantError(t, 422, "code", "is not right")
		}
		for i, code := range codes[:9] {
			s.do(t, answering(jake.challenge(t), code)).want(t, 201, "")
			s.do(t, answering(jake.challenge(t), code)).wantError(t, 422, "code", "is not right")
			left := into[api.FactorsEnvelope](t, s.do(t, get("/api/user/factors", jake.token))).Factors
			wantSame(t, "codes left", int32(9-i), left.RecoveryCodesLeft)
		}
		s.do(t, removing(jake.token, codes[9])).want(t, 204, "")
		s.do(t, removing(jake.token, codes[9])).wantError(t, 404, "factor", "not found")
		s.do(t, renewing(jake.token, codes[9])).wantError(t, 404, "factor", "not found")
		s.do(t, login("jake@test.com", password)).want(t, 200, "") // a password is enough again
	})
}

// TestAuditOfFactors: what happens to second factors is on record, and the owner sees beside their sessions what they
// may not have done.
func TestAuditOfFactors(t *testing.T) {
	throttled(t, 2, 8, 20, func(t *testing.T, s *server) {
		jake := s.withApp(t, "jake")
		user := int64(1)
		by := func(action identity.Action) identity.Event {
			return identity.Event{Actor: identity.ActorUser, ActorID: &user, Action: action, Target: "user:1"}
		}
		unknown := func(action identity.Action) identity.Event {
			return identity.Event{Actor: identity.ActorAnonymous, Action: action, Target: "user:1"}
		}
		login := func() identity.Event {
			event := by(identity.LoggedIn)
			event.Target = "session:"
			return event
		}
		recorded := s.events(t)
		wantSame(t, "the app that was added", identity.FactorAdded, recorded[len(recorded)-1].Action)
		does := func(c call, status int, want ...identity.Event) {
			t.Helper()
			s.do(t, c).want(t, status, "")
			seen := len(recorded)
			recorded = s.events(t)
			var fresh []identity.Event
			for _, event := range recorded[seen:] {
				if strings.HasPrefix(event.Target, "session:") {
					event.Target = "session:"
				}
				fresh = append(fresh, identity.Event{
					Actor: event.Actor, ActorID: event.ActorID, Action: event.Action, Target: event.Target,
				})
			}
			wantSame(t, c.String(), want, fresh)
		}
		oneStep := func(code string) call {
			return post("/api/users/login", "", userJSON("email", jake.email(), "password", password, "code", code))
		}
		does(oneStep(""), 403, by(identity.LoginChallenged))
		does(oneStep(jake.code(t)), 200, login())
		challenge := jake.challenge(t)
		recorded = s.events(t)
		wantSame(t, "the challenge", identity.LoginChallenged, recorded[len(recorded)-1].Action)
		does(answering(challenge, "123456"), 422, unknown(identity.FactorFailed))
		does(answering(challenge, jake.recovery[0]), 201, by(identity.RecoveryCodeUsed), login())
		does(answering("nonsense", "123456"), 401)
		does(proving(jake.token, "password", password, "code", jake.code(t)), 200, by(identity.Proved))
		does(renewing(jake.token, "123456"), 422, by(identity.FactorFailed))
		does(renewing(jake.token, jake.recovery[1]), 200, by(identity.RecoveryCodesMade), by(identity.RecoveryCodeUsed))
		for range 2 {
			does(removing(jake.token, "123456"), 422, by(identity.FactorFailed))
		}
		does(removing(jake.token, "123456"), 429, by(identity.FactorThrottled))
		var noticed []string
		for _, notice := range s.sessionsOf(t, jake.token).Notices {
			noticed = append(noticed, notice.Event)
		}
		wantSame(t, "notices", []string{
			"factor-failed", "factor-failed", "recovery-code-used", "recovery-codes-made", "factor-failed",
			"recovery-code-used", "factor-failed", "factor-added",
		}, noticed)
		s.clock.Advance(20 * time.Minute)
		does(removing(jake.token, jake.code(t)), 204, by(identity.FactorRemoved))
		does(proving(jake.token, "password", password), 200, by(identity.Proved))
	})
}
