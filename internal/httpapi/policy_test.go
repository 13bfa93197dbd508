package httpapi_test

import (
	"testing"

	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
	"conduit/internal/weak"
)

func TestStrictPasswords(t *testing.T) {
	t.Parallel()
	common, err := weak.New()
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		newServerOn(t, db).register(t, "early") // with password123
		s := newServerOn(t, db, func(o *app.Options) {
			o.PasswordPolicy = identity.PasswordPolicy{Strict: true, Common: common}
		})
		const tooShort, good = "is too short (minimum is 15 characters)", "under the old apple tree"
		refused := map[string]string{ // for jake, jm@test.com
			"short":                tooShort,
			password:               tooShort,
			"fourteen chars":       tooShort,
			"Password12345678":     "is too common",
			"i am JAKE, who else":  "must not contain the username",
			"the secret JM@test":   "",
			"jake jake jake jake!": "must not contain the username",
		}
		for candidate, message := range refused {
			if message != "" {
				s.do(t, registration("jake", "jm@test.com", candidate)).wantError(t, 422, "password", message)
			}
		}
		s.do(t, registration("jake", "jmiller@test.com", "ask JMiller for it")).
			wantError(t, 422, "password", "must not contain the email")
		s.do(t, registration("", "jm@test.com", "short")).
			want(t, 422, `{"errors":{"username":["can't be blank"],"password":["`+tooShort+`"]}}`)

		registered := s.do(t, registration("jake", "jm@test.com", good))
		registered.want(t, 201, "")
		put := func(pairs ...string) answer {
			return s.do(t, changing(registered.token(t), pairs...))
		}
		for candidate, message := range refused {
			if message == "" {
				put("password", candidate).want(t, 200, "")
			} else {
				put("password", candidate).wantError(t, 422, "password", message)
			}
		}
		put("password", "now that I am Jacob", "username", "jacob").
			wantError(t, 422, "password", "must not contain the username")
		put("password", "no longer jake, hm", "username", "jacob").want(t, 200, "")
		put("bio", "no password here", "password", "").want(t, 200, "")
		put("password", "").wantError(t, 422, "password", "can't be blank")

		// Whoever has a password from before the policy logs in with it.
		s.do(t, login("early@test.com", password)).want(t, 200, "")
	})
}

// TestCurrentPassword: it is looked at whenever it is sent, as slowly as at a login, and asked for if the server is set
// to.
func TestCurrentPassword(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		lax := newServerOn(t, db)
		lax.Throttle.PerPair, lax.Throttle.PerAccount = 3, 100
		strict := newServerOn(t, db, func(o *app.Options) { o.RequirePassword = true })
		token := lax.register(t, "jake")
		other := lax.do(t, login("jake@test.com", password)).token(t)
		const field, wrong, blank = "currentPassword", "is not right", "can't be blank"

		for _, s := range []*server{lax, strict} {
			s.do(t, changing(token, "bio", "x", field, "wrong")).wantError(t, 422, field, wrong)
			s.do(t, changing(token, field, "wrong")).wantError(t, 422, field, wrong)
			s.do(t, changing(token, field, password)).want(t, 200, "")
			s.do(t, changing(token, "username", "Jake", "bio", "y", field, "")).want(t, 200, "")
			s.do(t, changing(token, "email", "jake@test.com", "password", "", field, "")).
				want(t, 200, "") // nothing new
			wantSame(t, "bio", "y", s.do(t, get("/api/user", other)).at(t, "user", "bio"))
		}
		for _, change := range [][]string{
			{"password", "another secret"}, {"email", "new@test.com"}, {"email", "JAKE@test.com", "bio", "z"},
		} {
			strict.do(t, changing(token, change...)).wantError(t, 422, field, blank)
			strict.do(t, changing(token, append(change, field, "")...)).wantError(t, 422, field, blank)
			strict.do(t, changing(token, append(change, field, "wrong")...)).wantError(t, 422, field, wrong)
		}
		strict.do(t, login("jake@test.com", password)).want(t, 200, "")
		strict.do(t, changing(token, "email", "new@test.com", "password", "another secret", field, password)).
			want(t, 200, "")
		strict.do(t, get("/api/user", other)).wantError(t, 401, "token", "is invalid")
		strict.do(t, login("new@test.com", "another secret")).want(t, 200, "")
		lax.do(t, changing(token, "password", password)).want(t, 200, "")

		// What was no change when the headers came does not become one by the time that the body is there.
		s := strict
		held := changing(token, "email", "new@test.com", "username", "Jake", "bio", "held")
		s.doLate(t, held, func() {
			s.do(t, changing(token, "email", "moved@test.com", "username", "moved", field, password)).want(t, 200, "")
		}).want(t, 200, "")
		for name, want := range map[string]string{"email": "moved@test.com", "username": "moved", "bio": "held"} {
			if got := s.do(t, get("/api/user", token)).at(t, "user", name); got != want {
				t.Errorf("a held body made the %s %v", name, got)
			}
		}

		for range 3 {
			lax.do(t, changing(token, "bio", "x", field, "wrong")).wantError(t, 422, field, wrong)
		}
		wantTooMany(t, lax.do(t, changing(token, "bio", "x", field, password)), 10)
		wantSame(t, "refusals are on record", 1, lax.recorded(t)["login-throttled"])
	})
}
