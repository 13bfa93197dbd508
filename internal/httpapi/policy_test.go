package httpapi_test

import (
	"testing"

	"conduit/internal/conduit"
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
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, store.Options{})
		newServerOn(t, db).register(t, "early") // with password123
		s := newServerWith(t, db, issuer, conduit.PasswordPolicy{Strict: true, Common: common})
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
		s.do(t, registration("jake", "jmiller@test.com", "ask JMiller for it")).wantError(t, 422, "password", "must not contain the email")
		s.do(t, registration("", "jm@test.com", "short")).want(t, 422, `{"errors":{"username":["can't be blank"],"password":["`+tooShort+`"]}}`)

		registered := s.do(t, registration("jake", "jm@test.com", good))
		registered.want(t, 201, "")
		put := func(pairs ...string) answer {
			return s.do(t, call{method: "PUT", path: "/api/user", token: registered.token(t), body: userJSON(pairs...)})
		}
		for candidate, message := range refused {
			if message == "" {
				put("password", candidate).want(t, 200, "")
			} else {
				put("password", candidate).wantError(t, 422, "password", message)
			}
		}
		put("password", "now that I am Jacob", "username", "jacob").wantError(t, 422, "password", "must not contain the username")
		put("password", "no longer jake, hm", "username", "jacob").want(t, 200, "")
		put("bio", "no password here").want(t, 200, "")

		// Whoever has a password from before the policy logs in with it.
		s.do(t, login("early@test.com", password)).want(t, 200, "")
	})
}
