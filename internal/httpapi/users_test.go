package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRealWorldUsers makes the requests of RealWorld's conformance collection that are about users, in its order.
func TestRealWorldUsers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		registered := s.do(t, registration("auth_user1", "auth_user1@test.com", password))
		registered.want(t, 201, `{"user":{"username":"auth_user1","email":"auth_user1@test.com","bio":null,"image":null,"token":"`+registered.token(t)+`"}}`)

		loggedIn := s.do(t, login("auth_user1@test.com", password))
		token := loggedIn.token(t)
		loggedIn.want(t, 200, `{"user":{"username":"auth_user1","email":"auth_user1@test.com","bio":null,"image":null,"token":"`+token+`"}}`)

		current := get("/api/user", token)
		s.do(t, current).want(t, 200, `{"user":{"username":"auth_user1","email":"auth_user1@test.com","bio":null,"image":null,"token":"`+token+`"}}`)

		for _, step := range []struct {
			name, body string
			status     int
			bio, image any
		}{
			{"bio is set", `{"user":{"bio":"Updated bio"}}`, 200, "Updated bio", nil},
			{"bio is kept", `{"user":{"image":"https://example.com/a.png"}}`, 200, "Updated bio", "https://example.com/a.png"},
			{"empty bio is null", `{"user":{"bio":""}}`, 200, nil, "https://example.com/a.png"},
			{"bio is set again", `{"user":{"bio":"Temporary"}}`, 200, "Temporary", "https://example.com/a.png"},
			{"null bio is null", `{"user":{"bio":null}}`, 200, nil, "https://example.com/a.png"},
			{"empty image is null", `{"user":{"image":""}}`, 200, nil, nil},
			{"image is not checked", `{"user":{"image":"javascript:alert(1)"}}`, 200, nil, "javascript:alert(1)"},
			{"image with quotes", `{"user":{"image":"https://x/img.jpg\"onerror=\"alert(1)"}}`, 200, nil, `https://x/img.jpg"onerror="alert(1)`},
			{"null image is null", `{"user":{"image":null}}`, 200, nil, nil},
			{"nothing changes", `{"user":{}}`, 200, nil, nil},
			{"unknown members are ignored", `{"user":{"id":7,"token":"x","bio":"b"}}`, 200, "b", nil},
			{"email null", `{"user":{"email":null}}`, 422, "b", nil},
			{"email empty", `{"user":{"email":""}}`, 422, "b", nil},
			{"username null", `{"user":{"username":null}}`, 422, "b", nil},
			{"username empty", `{"user":{"username":""}}`, 422, "b", nil},
			{"password null", `{"user":{"password":null}}`, 422, "b", nil},
			{"password empty", `{"user":{"password":""}}`, 422, "b", nil},
			{"password empty, with another", `{"user":{"password":"","currentPassword":"password123"}}`, 422, "b", nil},
			{"password empty beside others", `{"user":{"password":"","bio":"c"}}`, 200, "c", nil},
			{"password empty beside a null", `{"user":{"password":"","bio":"b","image":null}}`, 200, "b", nil},
			{"password too short", `{"user":{"password":"short7c"}}`, 422, "b", nil},
			{"password of 8", `{"user":{"password":"bonjour1"}}`, 200, "b", nil},
			{"password of 64", `{"user":{"password":"` + strings.Repeat("a", 64) + `"}}`, 200, "b", nil},
			{"username and email", `{"user":{"username":"auth_user1_x","email":"auth_user1_x@test.com"}}`, 200, "b", nil},
		} {
			got := s.do(t, put("/api/user", token, step.body))
			if got.want(t, step.status, ""); got.status != step.status {
				t.Errorf("%s: %s", step.name, got.body)
			}
			if got := s.do(t, current); got.at(t, "user", "bio") != step.bio || got.at(t, "user", "image") != step.image {
				t.Errorf("%s: then GET gives %s", step.name, got.body)
			}
		}
		got := s.do(t, current)
		if got.at(t, "user", "username") != "auth_user1_x" || got.token(t) != token {
			t.Errorf("after the changes: %s", got.body)
		}
		s.do(t, login("auth_user1_x@test.com", strings.Repeat("a", 64))).want(t, 200, "")
		s.do(t, login("auth_user1@test.com", strings.Repeat("a", 64))).wantError(t, 401, "credentials", "invalid")

		s.do(t, post("/api/users/logout", token)).want(t, 204, "")
		s.do(t, current).wantError(t, 401, "token", "is invalid")
	})
}

func TestRegistrationRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "taken")
		long := strings.Repeat("x", 65)
		for _, test := range []struct {
			name   string
			body   string
			status int
			want   string
		}{
			{"empty username", userJSON("username", "", "email", "a@b.c", "password", password), 422, `{"errors":{"username":["can't be blank"]}}`},
			{"empty email", userJSON("username", "a", "email", "", "password", password), 422, `{"errors":{"email":["can't be blank"]}}`},
			{"empty password", userJSON("username", "a", "email", "a@b.c", "password", ""), 422, `{"errors":{"password":["can't be blank"]}}`},
			{"all missing", `{"user":{}}`, 422, `{"errors":{"username":["can't be blank"],"email":["can't be blank"],"password":["can't be blank"]}}`},
			{"all null", `{"user":{"username":null,"email":null,"password":null}}`, 422, `{"errors":{"username":["can't be blank"],"email":["can't be blank"],"password":["can't be blank"]}}`},
			{
				"all unfit", userJSON("username", "", "email", "x", "password", "short7c"), 422,
				asJSON(theContract().Components.Examples["SeveralFields"].Value.Value),
			},
			{"wrapper missing", `{}`, 422, `{"errors":{"user":["can't be blank"]}}`},
			{"wrapper of another kind", `{"user":[]}`, 422, `{"errors":{"user":["must be an object"]}}`},
			{"wrong types", `{"user":{"username":1,"email":true,"password":["x"]}}`, 422, `{"errors":{"username":["must be a string"],"email":["must be a string"],"password":["must be a string"]}}`},
			{"blank username", userJSON("username", " \u2003\t", "email", "a@b.c", "password", password), 422, `{"errors":{"username":["can't be blank"]}}`},
			{"username with outer blanks", userJSON("username", " a", "email", "a@b.c", "password", password), 422, `{"errors":{"username":["must not begin or end with a blank"]}}`},
			{"username with a slash", userJSON("username", "a/b", "email", "a@b.c", "password", password), 422, `{"errors":{"username":["contains characters that are not allowed"]}}`},
			{"username of dots", userJSON("username", "..", "email", "a@b.c", "password", password), 422, `{"errors":{"username":["contains characters that are not allowed"]}}`},
			{"username that turns text around", userJSON("username", "a\u202eb", "email", "a@b.c", "password", password), 422, `{"errors":{"username":["contains characters that are not allowed"]}}`},
			{"long username", userJSON("username", long, "email", "a@b.c", "password", password), 422, `{"errors":{"username":["is too long (maximum is 64 characters)"]}}`},
			{"no email", userJSON("username", "a", "email", "a.b.c", "password", password), 422, `{"errors":{"email":["is not a valid email"]}}`},
			{"two at signs", userJSON("username", "a", "email", "a@b@c", "password", password), 422, `{"errors":{"email":["is not a valid email"]}}`},
			{"email with a no-break space", userJSON("username", "a", "email", "a\u00a0x@b.c", "password", password), 422, `{"errors":{"email":["is not a valid email"]}}`},
			{"short password", userJSON("username", "a", "email", "a@b.c", "password", "short7c"), 422, `{"errors":{"password":["is too short (minimum is 8 characters)"]}}`},
			{"7 characters of 14 bytes", userJSON("username", "a", "email", "a@b.c", "password", "ééééééé"), 422, `{"errors":{"password":["is too short (minimum is 8 characters)"]}}`},
			{"7 characters, composed", userJSON("username", "a", "email", "a@b.c", "password", strings.Repeat("e\u0301", 7)), 422, `{"errors":{"password":["is too short (minimum is 8 characters)"]}}`},
			{"password of 129", userJSON("username", "a", "email", "a@b.c", "password", strings.Repeat("x", 129)), 422, `{"errors":{"password":["is too long (maximum is 128 characters)"]}}`},
			{"taken username", userJSON("username", "taken", "email", "other@test.com", "password", password), 409, `{"errors":{"username":["has already been taken"]}}`},
			{"taken username in other case", userJSON("username", "TAKEN", "email", "other@test.com", "password", password), 409, `{"errors":{"username":["has already been taken"]}}`},
			{"taken email", userJSON("username", "other", "email", "taken@test.com", "password", password), 409, `{"errors":{"email":["has already been taken"]}}`},
			{"taken email in other case", userJSON("username", "other", "email", "Taken@TEST.com", "password", password), 409, `{"errors":{"email":["has already been taken"]}}`},
			{"both taken", userJSON("username", "taken", "email", "taken@test.com", "password", password), 409, `{"errors":{"username":["has already been taken"],"email":["has already been taken"]}}`},
		} {
			t.Run(test.name, func(t *testing.T) {
				s.do(t, post("/api/users", "", test.body)).want(t, test.status, test.want)
			})
		}
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
			if name := got.at(t, "user", "username"); name != test.shown {
				t.Errorf("username %q, want %q", name, test.shown)
			}
			s.do(t, login(strings.ToUpper(test.email), password)).want(t, 200, "")
		}
		s.do(t, registration("ÆRØSKØBING", "new@example.com", password)).wantError(t, 409, "username", "has already been taken")
		s.do(t, registration("JOS\u00c9", "new@example.com", password)).wantError(t, 409, "username", "has already been taken")
	})
}

func TestPasswordsInAnyForm(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for i, secret := range []string{
			"password123", "bonjour1", strings.Repeat("a", 64), strings.Repeat("漢", 128), "        ", `"\` + "\t\r\n☃🦊xx", strings.Repeat("e\u0301", 8),
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
		s.do(t, login("", "")).want(t, 422, `{"errors":{"email":["can't be blank"],"password":["can't be blank"]}}`)
		wrong := s.do(t, login("jake@test.com", "wrong"))
		unknown := s.do(t, login("nobody@test.com", "wrong"))
		for _, got := range []answer{wrong, unknown, s.do(t, login("not an email", password)), s.do(t, login("jake@test.com", strings.Repeat("x", 1000)))} {
			got.wantError(t, 401, "credentials", "invalid")
			if challenge := got.header.Get("WWW-Authenticate"); challenge != `Bearer realm="conduit"` {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
		}
		if wrong.body != unknown.body || len(wrong.header) != len(unknown.header) {
			t.Errorf("a wrong password and an unknown address differ: %v and %v", wrong, unknown)
		}
	})
}

func TestUpdateConflicts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "alice")
		bob := s.register(t, "bob")
		put := func(body string) answer {
			return s.do(t, put("/api/user", bob, body))
		}
		put(userJSON("username", "Alice")).wantError(t, 409, "username", "has already been taken")
		put(userJSON("email", "ALICE@test.com")).wantError(t, 409, "email", "has already been taken")
		put(userJSON("username", "alice", "email", "alice@test.com")).want(t, 409, `{"errors":{"username":["has already been taken"],"email":["has already been taken"]}}`)
		put(userJSON("username", "bob", "email", "bob@test.com")).want(t, 200, "")
		put(userJSON("username", "BOB", "email", "Bob@Test.com")).want(t, 200, "")
		if got := s.do(t, get("/api/user", bob)); got.at(t, "user", "username") != "BOB" {
			t.Errorf("case is kept as given: %s", got.body)
		}
		put(userJSON("username", " ")).wantError(t, 422, "username", "can't be blank")
		put(userJSON("email", "x")).wantError(t, 422, "email", "is not a valid email")
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
