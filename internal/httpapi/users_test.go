package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"

	"conduit/api"
)

// TestRealWorldUsers makes the requests of RealWorld's conformance collection that are about users, in its order.
func TestRealWorldUsers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		want := api.User{Username: "auth_user1", Email: "auth_user1@test.com", Bio: orNull(""), Image: orNull("")}
		registered := s.do(t, registration(want.Username, want.Email, password))
		registered.want(t, 201, "")
		want.Token = registered.token(t)
		wantSame(t, "registered", want, into[api.UserEnvelope](t, registered).User)

		loggedIn := s.do(t, login(want.Email, password))
		loggedIn.want(t, 200, "")
		token := loggedIn.token(t)
		want.Token = token
		wantSame(t, "logged in", want, into[api.UserEnvelope](t, loggedIn).User)

		current := get("/api/user", token)
		s.do(t, current).want(t, 200, loggedIn.body)

		const quoted = `https://x/img.jpg"onerror="alert(1)`
		for _, step := range []struct {
			name, body string
			status     int
			bio, image string // none where empty
		}{
			{"bio is set", `{"user":{"bio":"Updated bio"}}`, 200, "Updated bio", ""},
			{"bio is kept", `{"user":{"image":"https://x/a.png"}}`, 200, "Updated bio", "https://x/a.png"},
			{"empty bio is null", `{"user":{"bio":""}}`, 200, "", "https://x/a.png"},
			{"bio is set again", `{"user":{"bio":"Temporary"}}`, 200, "Temporary", "https://x/a.png"},
			{"null bio is null", `{"user":{"bio":null}}`, 200, "", "https://x/a.png"},
			{"empty image is null", `{"user":{"image":""}}`, 200, "", ""},
			{"image is not checked", `{"user":{"image":"javascript:alert(1)"}}`, 200, "", "javascript:alert(1)"},
			{"image with quotes", userJSON("image", quoted), 200, "", quoted},
			{"null image is null", `{"user":{"image":null}}`, 200, "", ""},
			{"nothing changes", `{"user":{}}`, 200, "", ""},
			{"unknown members are ignored", `{"user":{"id":7,"token":"x","bio":"b"}}`, 200, "b", ""},
			{"email null", `{"user":{"email":null}}`, 422, "b", ""},
			{"email empty", `{"user":{"email":""}}`, 422, "b", ""},
			{"username null", `{"user":{"username":null}}`, 422, "b", ""},
			{"username empty", `{"user":{"username":""}}`, 422, "b", ""},
			{"password null", `{"user":{"password":null}}`, 422, "b", ""},
			{"password empty", `{"user":{"password":""}}`, 422, "b", ""},
			{"password empty, with another", `{"user":{"password":"","currentPassword":"password123"}}`, 422, "b", ""},
			{"password empty beside others", `{"user":{"password":"","bio":"c"}}`, 200, "c", ""},
			{"password empty beside a null", `{"user":{"password":"","bio":"b","image":null}}`, 200, "b", ""},
			{"password too short", `{"user":{"password":"short7c"}}`, 422, "b", ""},
			{"password of 8", `{"user":{"password":"bonjour1"}}`, 200, "b", ""},
			{"password of 64", `{"user":{"password":"` + strings.Repeat("a", 64) + `"}}`, 200, "b", ""},
			{
				"username and email", userJSON("username", "auth_user1_x", "email", "auth_user1_x@test.com"),
				200, "b", "",
			},
		} {
			t.Run(step.name, func(t *testing.T) {
				s.do(t, put("/api/user", token, step.body)).want(t, step.status, "")
				got := into[api.UserEnvelope](t, s.do(t, current)).User
				wantSame(t, "bio", orNull(step.bio), got.Bio)
				wantSame(t, "image", orNull(step.image), got.Image)
			})
		}
		wantSame(t, "after the changes", api.User{
			Username: "auth_user1_x", Email: "auth_user1_x@test.com", Bio: orNull("b"), Image: orNull(""), Token: token,
		}, into[api.UserEnvelope](t, s.do(t, current)).User)
		s.do(t, login("auth_user1_x@test.com", strings.Repeat("a", 64))).want(t, 200, "")
		s.do(t, login("auth_user1@test.com", strings.Repeat("a", 64))).wantError(t, 401, "credentials", "invalid")

		s.do(t, post("/api/users/logout", token)).want(t, 204, "")
		s.do(t, current).wantError(t, 401, "token", "is invalid")
	})
}

// orNull is a text as the contract's types have it: null where there is none.
func orNull(text string) nullable.Nullable[string] {
	if text == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(text)
}

func TestRegistrationRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "taken")
		long := strings.Repeat("x", 65)
		const (
			blank, short = "can't be blank", "is too short (minimum is 8 characters)"
			taken, odd   = "has already been taken", "contains characters that are not allowed"
			noEmail      = "is not a valid email"
		)
		refuse := func(status int, name string, c call, errors ...string) {
			t.Run(name, func(t *testing.T) { s.do(t, c).wantError(t, status, errors...) })
		}
		refuse(422, "empty username", registration("", "a@b.c", password), "username", blank)
		refuse(422, "empty email", registration("a", "", password), "email", blank)
		refuse(422, "empty password", registration("a", "a@b.c", ""), "password", blank)
		refuse(422, "all missing", post("/api/users", "", `{"user":{}}`),
			"username", blank, "email", blank, "password", blank)
		refuse(422, "all null", post("/api/users", "", `{"user":{"username":null,"email":null,"password":null}}`),
			"username", blank, "email", blank, "password", blank)
		t.Run("all unfit", func(t *testing.T) {
			s.do(t, registration("", "x", "short7c")).
				want(t, 422, asJSON(theContract().Components.Examples["SeveralFields"].Value.Value))
		})
		refuse(422, "no JSON", post("/api/users", "", `{`), "body", "is not valid JSON")
		for value, message := range map[string]string{
			`a\u0000b`: odd, `a\ud800b`: "is not valid Unicode", "a\xffb": "is not valid Unicode",
		} {
			members := fmt.Sprintf(`"username":"%[1]s","email":"%[1]s@test.com","password":"%[1]s%[1]s%[1]s"`, value)
			refuse(422, fmt.Sprintf("%q", value), post("/api/users", "", `{"user":{`+members+`}}`),
				"username", message, "email", message, "password", message)
		}
		refuse(422, "wrapper missing", post("/api/users", "", `{}`), "user", blank)
		refuse(422, "wrapper of another kind", post("/api/users", "", `{"user":[]}`), "user", "must be an object")
		refuse(422, "wrong types", post("/api/users", "", `{"user":{"username":1,"email":true,"password":["x"]}}`),
			"username", "must be a string", "email", "must be a string", "password", "must be a string")
		refuse(422, "blank username", registration(" \u2003\t", "a@b.c", password), "username", blank)
		refuse(422, "username with outer blanks", registration(" a", "a@b.c", password),
			"username", "must not begin or end with a blank")
		refuse(422, "username with a slash", registration("a/b", "a@b.c", password), "username", odd)
		refuse(422, "username of dots", registration("..", "a@b.c", password), "username", odd)
		refuse(422, "username that turns text around", registration("a\u202eb", "a@b.c", password), "username", odd)
		refuse(422, "long username", registration(long, "a@b.c", password),
			"username", "is too long (maximum is 64 characters)")
		refuse(422, "no email", registration("a", "a.b.c", password), "email", noEmail)
		refuse(422, "two at signs", registration("a", "a@b@c", password), "email", noEmail)
		refuse(422, "email with a no-break space", registration("a", "a\u00a0x@b.c", password), "email", noEmail)
		refuse(422, "short password", registration("a", "a@b.c", "short7c"), "password", short)
		refuse(422, "7 characters of 14 bytes", registration("a", "a@b.c", "ééééééé"), "password", short)
		refuse(422, "7 characters, composed", registration("a", "a@b.c", strings.Repeat("e\u0301", 7)),
			"password", short)
		refuse(422, "password of 129", registration("a", "a@b.c", strings.Repeat("x", 129)),
			"password", "is too long (maximum is 128 characters)")
		refuse(409, "taken username", registration("taken", "other@test.com", password), "username", taken)
		refuse(409, "taken username in other case", registration("TAKEN", "other@test.com", password),
			"username", taken)
		refuse(409, "taken email", registration("other", "taken@test.com", password), "email", taken)
		refuse(409, "taken email in other case", registration("other", "Taken@TEST.com", password), "email", taken)
		refuse(409, "both taken", registration("taken", "taken@test.com", password), "username", taken, "email", taken)
	})
}

func TestNamesInAnyScript(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, test := range []struct{ name, email, shown string }{
			{"Ærøskøbing", "Ærø@example.com", "Ærøskøbing"},
			{"jose\u0301", "jose@example.com", "jos\u00e9"}, // NFC
			{"山田太郎", "yamada@例え.jp", "山田太郎"},
			{"O'Brien; drop table users", "o'brien@example.com", "O'Brien; drop table users"},
			{`back\slash ? $1 ?0 %s`, "b@example.com", `back\slash ? $1 ?0 %s`},
			{"🦊", "fox@example.com", "🦊"},
		} {
			got := s.do(t, registration(test.name, test.email, password))
			got.want(t, 201, "")
			wantSame(t, "username", test.shown, into[api.UserEnvelope](t, got).User.Username)
			s.do(t, login(strings.ToUpper(test.email), password)).want(t, 200, "")
		}
		for _, taken := range []string{"ÆRØSKØBING", "JOS\u00c9"} {
			s.do(t, registration(taken, "new@example.com", password)).
				wantError(t, 409, "username", "has already been taken")
		}
	})
}

func TestPasswordsInAnyForm(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for i, secret := range []string{
			"password123", "bonjour1", strings.Repeat("a", 64), strings.Repeat("漢", 128), "        ",
			`"\` + "\t\r\n☃🦊xx", strings.Repeat("e\u0301", 8),
		} {
			name := "user" + string(rune('a'+i))
			s.do(t, registration(name, name+"@test.com", secret)).want(t, 201, "")
			s.do(t, login(name+"@test.com", secret)).want(t, 200, "")
			s.do(t, login(name+"@test.com", secret+"x")).wantError(t, 401, "credentials", "invalid")
		}
		s.do(t, login("usera@test.com", strings.Repeat("\u00e9", 8))).wantError(t, 401, "credentials", "invalid")
		s.do(t, login("userg@test.com", strings.Repeat("\u00e9", 8))).want(t, 200, "") // the same text, composed
	})
}

func TestLoginRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		s.do(t, login("", password)).wantError(t, 422, "email", "can't be blank")
		s.do(t, login("jake@test.com", "")).wantError(t, 422, "password", "can't be blank")
		s.do(t, login("", "")).wantError(t, 422, "email", "can't be blank", "password", "can't be blank")
		wrong := s.do(t, login("jake@test.com", "wrong"))
		unknown := s.do(t, login("nobody@test.com", "wrong"))
		for _, got := range []answer{
			wrong, unknown, s.do(t, login("not an email", password)),
			s.do(t, login("jake@test.com", strings.Repeat("x", 1000))),
		} {
			got.wantError(t, 401, "credentials", "invalid")
			wantSame(t, "WWW-Authenticate", `Bearer realm="conduit"`, got.header.Get("WWW-Authenticate"))
		}
		if wrong.body != unknown.body || len(wrong.header) != len(unknown.header) {
			t.Errorf("a wrong password and an unknown email differ: %v and %v", wrong, unknown)
		}
	})
}

func TestUpdateConflicts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "alice")
		bob := s.register(t, "bob")
		s.do(t, changing(bob, "username", "Alice")).wantError(t, 409, "username", "has already been taken")
		s.do(t, changing(bob, "email", "ALICE@test.com")).wantError(t, 409, "email", "has already been taken")
		s.do(t, changing(bob, "username", "alice", "email", "alice@test.com")).
			wantError(t, 409, "username", "has already been taken", "email", "has already been taken")
		s.do(t, changing(bob, "username", "bob", "email", "bob@test.com")).want(t, 200, "")
		s.do(t, changing(bob, "username", "BOB", "email", "Bob@Test.com")).want(t, 200, "")
		got := into[api.UserEnvelope](t, s.do(t, get("/api/user", bob))).User
		wantSame(t, "case is kept as given", "BOB", got.Username)
		s.do(t, changing(bob, "username", " ")).wantError(t, 422, "username", "can't be blank")
		s.do(t, changing(bob, "email", "x")).wantError(t, 422, "email", "is not a valid email")
	})
}

// TestChangedSecretsEndOtherSessions: whoever else knew the old password is out, and the person stays in.
func TestChangedSecretsEndOtherSessions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for name, change := range map[string]string{
			"pat": userJSON("password", "a new password"),
			"sam": userJSON("email", "sam.new@test.com"),
		} {
			first := s.register(t, name)
			second := s.do(t, login(name+"@test.com", password)).token(t)
			s.do(t, changing(second, "bio", "no secret")).want(t, 200, "")
			s.do(t, changing(second, "email", name+"@test.com")).want(t, 200, "")
			s.do(t, get("/api/user", first)).want(t, 200, "")
			changed := s.do(t, put("/api/user", second, change))
			if changed.want(t, 200, ""); changed.token(t) != second {
				t.Error("the presented token is given back")
			}
			s.do(t, get("/api/user", first)).wantError(t, 401, "token", "is invalid")
			s.do(t, get("/api/user", second)).want(t, 200, "")
		}
	})
}

func TestSessionsEnd(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		get := func(token string) answer { return s.do(t, get("/api/user", token)) }
		old := s.register(t, "jake")
		s.clock.Advance(12 * time.Hour)
		young := s.do(t, login("jake@test.com", password)).token(t)
		get(old).want(t, 200, "")
		s.clock.Advance(12*time.Hour + time.Minute)
		get(old).wantError(t, 401, "token", "has expired")
		get(young).want(t, 200, "")
		s.clock.Advance(24 * time.Hour)
		get(young).wantError(t, 401, "token", "has expired")
	})
}

func TestFiftySessionsAtMost(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		tokens := []string{s.register(t, "jake")}
		for range 51 {
			s.clock.Advance(time.Second)
			tokens = append(tokens, s.do(t, login("jake@test.com", password)).token(t))
		}
		for i, token := range tokens {
			want := http.StatusOK
			if i < len(tokens)-50 {
				want = http.StatusUnauthorized
			}
			if got := s.do(t, get("/api/user", token)); got.status != want {
				t.Errorf("session %d of %d: %d, want %d", i+1, len(tokens), got.status, want)
			}
		}
	})
}
