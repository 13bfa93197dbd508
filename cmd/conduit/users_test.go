package main

import (
	"errors"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"conduit/internal/identity"
	"conduit/internal/store/storetest"
)

// TestAccounts runs a site from the command line, beside a server that has to follow at once.
func TestAccounts(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		variables := map[string]string{"CONDUIT_DATABASE": url}
		server := serveOn(t, url, filepath.Join(t.TempDir(), "conduit.key"), "--demo=false")
		// typed runs a command with a line on standard input, and wants its output to match.
		typed := func(line, pattern string, args ...string) string {
			t.Helper()
			out, err := invokeWith(t, line, variables, args...)
			if err != nil || !regexp.MustCompile(`\A(?s:`+pattern+`)\z`).MatchString(out) {
				t.Errorf("%v: %v\n%s\nwant %s", args, err, out, pattern)
			}
			return out
		}
		refused := func(line, message string, args ...string) {
			t.Helper()
			_, err := invokeWith(t, line, variables, args...)
			if err == nil || err.Error() != message {
				t.Errorf("%v: %v, want %s", args, err, message)
			}
		}
		login := func(email, password string) (token string) {
			t.Helper()
			status, text := server.do(t, "POST", "/users/login", "",
				`{"user":{"email":"`+email+`","password":"`+password+`"}}`)
			if status != http.StatusOK {
				return ""
			}
			_, token, _ = strings.Cut(text, `"token":"`)
			token, _, _ = strings.Cut(token, `"`)
			return token
		}
		alive := func(token string, want int) {
			t.Helper()
			if got, text := server.do(t, "GET", "/user", token, ""); got != want {
				t.Errorf("%d %s, want %d", got, text, want)
			}
		}
		const moment = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ`
		const heading = "ID +USERNAME +EMAIL +ROLE +STATE +CREATED +ARTICLES\n"

		typed("", heading, "users", "list")
		typed("jakes secret\r\n", "jake is created, with the id 1\n", "users", "create", "jake", "jake@example.com")
		typed("janes secret", "Jané_100% is created, with the id 2\n", "users", "create", "Jane\u0301_100%",
			"jane@example.com")
		refused("another secret\n", "username has already been taken", "users", "create", "JAKE", "new@example.com")
		refused("short\n", "email is not a valid email; password is too short (minimum is 8 characters)", "users",
			"create", "a", "a")
		refused("", "password can't be blank", "users", "create", "a", "a@b.c")
		refused("a\xffb secret\n", "password contains characters that are not allowed", "users", "create", "a", "a@b.c")
		refused("a\x00b secret\n", "password contains characters that are not allowed", "users", "set-password", "jake")
		refused(strings.Repeat("x", 5000), "the line is too long", "users", "create", "a", "a@b.c")
		refused("jakes secret\n", "password is too short (minimum is 15 characters)", "users", "set-password", "jake",
			"--password-policy=strict")
		refused("password12345678\n", "password is too common", "users", "create", "a", "a@b.c",
			"--password-policy=strict")
		refused("this is jakes secret\n", "password must not contain the username", "users", "set-password",
			"JAKE@example.com", "--password-policy=strict")

		first := login("jake@example.com", "jakes secret")
		if status, text := server.do(t, "POST", "/articles", first,
			`{"article":{"title":"T","description":"d","body":"b"}}`); status != http.StatusCreated {
			t.Fatal(status, text)
		}
		jake, jane := "1 +jake +jake@example.com +user +active +"+moment+" +1\n",
			"2 +Jané_100% +jane@example.com +user +active +"+moment+" +0\n"
		typed("", heading+jake+jane, "users", "list")
		typed("", heading+jake, "users", "list", "--search=JAKE@")
		typed("", heading+jane, "users", "list", "--search=é_100%")
		typed("", heading, "users", "list", "--search=a_e")

		typed("", "jake has the role admin\n", "users", "set-role", "jake", "admin")
		typed("", heading+"1 +jake .* admin .*", "users", "list", "--search=jake")
		alive(first, http.StatusOK)
		typed("", "jake is disabled, and all sessions have ended\n", "users", "disable", "jake@EXAMPLE.com")
		alive(first, http.StatusUnauthorized)
		if login("jake@example.com", "jakes secret") != "" {
			t.Error("a disabled user logs in")
		}
		typed("", heading+"1 .* disabled .*", "users", "list", "--search=jake")
		typed("", "jake may log in\n", "users", "enable", "jake")
		alive(first, http.StatusUnauthorized)

		second, third := login("jake@example.com", "jakes secret"), login("jake@example.com", "jakes secret")
		other := login("jane@example.com", "janes secret")
		const sessions = "ID +USER +CREATED +LAST SEEN +EXPIRES +IP ADDRESS +USER AGENT\n"
		row := func(name string) string {
			return `[A-Z2-7]{26} +` + name + "( +" + moment + `){3} +127.0.0.1 +Go-http-client/1.1` + "\n"
		}
		table := typed("", sessions+row("jake")+row("jake"), "sessions", "list", "--user=jake")
		typed("", sessions+"("+row(`\S+`)+"){3}", "sessions", "list")
		id := regexp.MustCompile(`[A-Z2-7]{26}`).FindString(table)
		typed("", id+" has ended\n", "sessions", "revoke", id)
		refused("", `there is no session "`+id+`"; see conduit sessions list`, "sessions", "revoke", id)
		typed("", "1 sessions have ended\n", "sessions", "revoke", "--user", "jake")
		alive(second, http.StatusUnauthorized)
		alive(third, http.StatusUnauthorized)
		alive(other, http.StatusOK)
		typed("", "0 sessions removed that were over\n", "sessions", "purge")
		typed("", "1 sessions have ended\n", "sessions", "revoke", "--all")
		alive(other, http.StatusUnauthorized)

		second = login("jake@example.com", "jakes secret")
		typed("jakes other secret\n", "jake has another password, and all sessions have ended\n", "users",
			"set-password", "jake")
		alive(second, http.StatusUnauthorized)
		if login("jake@example.com", "jakes secret") != "" || login("jake@example.com", "jakes other secret") == "" {
			t.Error("the old password works, or the new one does not")
		}

		// Somebody took another's email for a name.
		typed("a secret\n", `jake@example.com is created, with the id \d+\n`, "users", "create", "jake@example.com",
			"eve@example.com")
		refused("", "user is the username of one and the email of another: name them by the other of the two", "users",
			"delete", "--yes", "jake@example.com")
		typed("", "jake@example.com is deleted\n", "users", "delete", "--yes", "eve@example.com")

		_, err := invokeWith(t, "jake\n", variables, "users", "delete", "jake")
		if _, ok := errors.AsType[*usageError](err); !ok || !strings.Contains(err.Error(), "say --yes") {
			t.Errorf("delete without a terminal: %v", err)
		}
		typed("", "jake is deleted\n", "users", "delete", "--yes", "jake")
		refused("", `there is no user "jake"`, "users", "enable", "jake")
		refused("a secret\n", "username has already been taken", "users", "create", "Jake", "new@example.com")
		if status, text := server.do(t, "GET", "/articles", "", ""); status != http.StatusOK ||
			!strings.Contains(text, `"articlesCount":0`) {
			t.Error(status, text)
		}
		log := typed("", ".*", "audit", "--json", "--limit=1000")
		for action, count := range map[identity.Action]int{
			identity.Registered: 3, identity.RoleChanged: 1, identity.AccountDisabled: 1, identity.AccountEnabled: 1,
			identity.SessionRevoked:  1,
			identity.SessionsRevoked: 2, identity.PasswordChanged: 1, identity.AccountDeleted: 2,
		} {
			recorded := regexp.MustCompile(`"actor":"cli".*"action":"`+string(action)+`"`).FindAllString(log, -1)
			if len(recorded) != count {
				t.Errorf("%s is recorded %d times, want %d:\n%s", action, len(recorded), count, log)
			}
		}
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	})
}
