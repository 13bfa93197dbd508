package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"conduit/internal/identity"
	"conduit/internal/store/storetest"
)

// TestAccounts manages accounts from the command line, beside a server that has to follow at once.
func TestAccounts(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		sh := shell{"CONDUIT_DATABASE": url}
		server := serveOn(t, url, filepath.Join(t.TempDir(), "conduit.key"), "--demo=false")
		// typed runs a command with a line on standard input, and wants its output to match a pattern.
		typed := func(line, command, pattern string) string {
			t.Helper()
			out, err := sh.invoke(t, line, strings.Fields(command)...)
			if err != nil {
				t.Fatalf("%s: %v", command, err)
			}
			wantMatch(t, out, pattern)
			return out
		}
		prints := func(command, pattern string) string { t.Helper(); return typed("", command, pattern) }
		refuses := func(line, command, message string) {
			t.Helper()
			_, err := sh.invoke(t, line, strings.Fields(command)...)
			if err == nil || err.Error() != message {
				t.Errorf("%s: %v, want %s", command, err, message)
			}
		}
		login := func(status int, name, password string) (token string) {
			t.Helper()
			text := server.want(t, status, "POST /users/login", "",
				`{"user":{"email":"`+name+`@example.com","password":"`+password+`"}}`)
			if status == 200 {
				token = tokenIn(t, text)
			}
			return token
		}
		const heading = "ID +USERNAME +EMAIL +ROLE +STATE +CREATED +ARTICLES\n"

		prints("users list", heading)
		typed("jakes secret\r\n", "users create jake jake@example.com", "jake is created, with the id 1\n")
		typed("janes secret", "users create Jane\u0301_100% jane@example.com", "Jané_100% is created, with the id 2\n")
		refuses("another secret\n", "users create JAKE new@example.com", "username has already been taken")
		refuses("short\n", "users create a a",
			"email is not a valid email; password is too short (minimum is 8 characters)")
		refuses("", "users create a a@b.c", "password can't be blank")
		refuses("a\xffb secret\n", "users create a a@b.c", "password contains characters that are not allowed")
		refuses("a\x00b secret\n", "users set-password jake", "password contains characters that are not allowed")
		refuses(strings.Repeat("x", 5000), "users create a a@b.c", "the line is too long")
		refuses("jakes secret\n", "users set-password jake --password-policy=strict",
			"password is too short (minimum is 15 characters)")
		refuses("password12345678\n", "users create a a@b.c --password-policy=strict", "password is too common")
		refuses("this is jakes secret\n", "users set-password JAKE@example.com --password-policy=strict",
			"password must not contain the username")

		first := login(200, "jake", "jakes secret")
		server.want(t, 201, "POST /articles", first, `{"article":{"title":"T","description":"d","body":"b"}}`)
		jake := "1 +jake +jake@example.com +user +active +" + moments + " +1\n"
		jane := "2 +Jané_100% +jane@example.com +user +active +" + moments + " +0\n"
		prints("users list", heading+jake+jane)
		prints("users list --search=JAKE@", heading+jake)
		prints("users list --search=é_100%", heading+jane)
		prints("users list --search=a_e", heading)

		prints("users set-role jake admin", "jake has the role admin\n")
		prints("users list --search=jake", heading+"1 +jake .* admin .*")
		server.want(t, 200, "GET /user", first)
		prints("users disable jake@EXAMPLE.com", "jake is disabled, and all sessions have ended\n")
		server.want(t, 401, "GET /user", first)
		login(401, "jake", "jakes secret")
		prints("users list --search=jake", heading+"1 .* disabled .*")
		prints("users enable jake", "jake may log in\n")
		server.want(t, 401, "GET /user", first)

		second, third := login(200, "jake", "jakes secret"), login(200, "jake", "jakes secret")
		other := login(200, "jane", "janes secret")
		const sessions = "ID +USER +CREATED +LAST SEEN +EXPIRES +IP ADDRESS +USER AGENT\n"
		row := func(name string) string {
			return `[A-Z2-7]{26} +` + name + "( +" + moments + `){3} +127.0.0.1 +Go-http-client/1.1` + "\n"
		}
		table := prints("sessions list --user=jake", sessions+row("jake")+row("jake"))
		prints("sessions list", sessions+"("+row(`\S+`)+"){3}")
		id := regexp.MustCompile(`[A-Z2-7]{26}`).FindString(table)
		prints("sessions revoke "+id, id+" has ended\n")
		refuses("", "sessions revoke "+id, `there is no session "`+id+`"; see conduit sessions list`)
		prints("sessions revoke --user jake", "1 sessions have ended\n")
		server.want(t, 401, "GET /user", second)
		server.want(t, 401, "GET /user", third)
		server.want(t, 200, "GET /user", other)
		prints("sessions purge", "0 sessions removed that were over\n")
		prints("sessions revoke --all", "1 sessions have ended\n")
		server.want(t, 401, "GET /user", other)

		second = login(200, "jake", "jakes secret")
		typed("jakes other secret\n", "users set-password jake",
			"jake has another password, and all sessions have ended\n")
		server.want(t, 401, "GET /user", second)
		login(401, "jake", "jakes secret")
		login(200, "jake", "jakes other secret")

		// Whoever has lost their app and their codes gets in again.
		second = login(200, "jake", "jakes other secret")
		enrolled := server.want(t, 200, "POST /user/factors/totp", second,
			`{"factor":{"password":"jakes other secret"}}`)
		secret := regexp.MustCompile(`"secret":"([A-Z2-7]+)"`).FindStringSubmatch(enrolled)[1]
		code, err := totp.GenerateCode(secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		server.want(t, 200, "PUT /user/factors/totp", second, `{"factor":{"code":"`+code+`"}}`)
		login(403, "jake", "jakes other secret")
		prints("users reset-factors jake",
			"jake has no second factors and passkeys any more, and all sessions have ended\n")
		server.want(t, 401, "GET /user", second)
		login(200, "jake", "jakes other secret")

		// A username may be another user's email.
		typed("a secret\n", "users create jake@example.com eve@example.com",
			`jake@example.com is created, with the id \d+\n`)
		refuses("", "users delete --yes jake@example.com",
			"user is the username of one and the email of another: name them by the other of the two")
		prints("users delete --yes eve@example.com", "jake@example.com is deleted\n")

		_, err = sh.invoke(t, "jake\n", "users", "delete", "jake")
		if refused(t, "delete without a terminal", err, "say --yes"); !wrongUsage(err) {
			t.Errorf("delete without a terminal is no mistake of usage: %v", err)
		}
		prints("users delete --yes jake", "jake is deleted\n")
		refuses("", "users enable jake", `there is no user "jake"`)
		refuses("a secret\n", "users create Jake new@example.com", "username has already been taken")
		if got := server.articlesCount(t); got != 0 {
			t.Errorf("%d articles are left", got)
		}
		recorded := map[identity.Action]int{}
		for _, event := range events(t, sh.run(t, "audit --json --limit=1000")) {
			if event.Actor == string(identity.ActorCLI) {
				recorded[identity.Action(event.Action)]++
			}
		}
		wantSame(t, "recorded", map[identity.Action]int{
			identity.Registered: 3, identity.RoleChanged: 1, identity.AccountDisabled: 1, identity.AccountEnabled: 1,
			identity.SessionRevoked: 1, identity.SessionsRevoked: 2, identity.PasswordChanged: 1,
			identity.AccountDeleted: 2, identity.FactorRemoved: 1,
		}, recorded)

	})
}
