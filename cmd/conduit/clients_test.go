package main

import (
	"encoding/base64"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// TestClients registers resource servers from the command line, beside a server that has to follow at once.
func TestClients(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		sh := shell{"CONDUIT_DATABASE": url}
		server := serveOn(t, url, filepath.Join(t.TempDir(), "conduit.key"), "--demo=false")
		shown := regexp.MustCompile(
			`^ID      ([A-Z2-7]{26})\nSecret  ([\w-]{43})\nNobody can show the secret again\.\n$`)
		credentials := func(command string, more ...string) (id, secret string) {
			t.Helper()
			out := sh.run(t, command, more...)
			found := shown.FindStringSubmatch(out)
			if found == nil {
				t.Fatal(out)
			}
			return found[1], found[2]
		}
		asks := func(status int, id, secret string) {
			t.Helper()
			got, err := server.send(t.Context(), "POST /introspect", "", "token=x", "Content-Type",
				"application/x-www-form-urlencoded", "Authorization",
				"Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
			must(t, err)
			wantSame(t, "status", status, got.status)
		}
		const heading = "ID +NAME +CREATED +SECRETS\n"

		wantMatch(t, sh.run(t, "clients list"), heading)
		id, first := credentials("clients add", "the \x1b[31m service")
		other, secret := credentials("clients add other")
		asks(200, id, first)
		asks(200, other, secret)
		asks(401, id, secret)
		wantMatch(t, sh.run(t, "clients list"), heading+id+" +the .\\[31m service +"+moments+" +since "+moments+" *\n"+
			other+" +other .*\n")

		same, second := credentials("clients rotate " + id)
		wantSame(t, "id", id, same)
		asks(200, id, first)
		asks(200, id, second)
		wantMatch(t, sh.run(t, "clients list"),
			heading+id+".* since "+moments+" until "+moments+", since "+moments+" *\n.*\n")
		_, third := credentials("clients rotate --overlap=0s " + id)
		asks(401, id, first)
		asks(401, id, second)
		asks(200, id, third)
		wantSame(t, "said", id+" is removed\n", sh.run(t, "clients remove "+id))
		asks(401, id, third)
		asks(200, other, secret)

		sh.refuses(t, `there is no client "`+id+`"; see conduit clients list`, "clients remove "+id)
		sh.refuses(t, "there is no client", "clients rotate", "\xff")
		sh.refuses(t, "name can't be blank", "clients add", " ")
		sh.refuses(t, "name is too long (maximum is 64 characters)", "clients add "+strings.Repeat("x", 65))
		sh.refuses(t, "must not be negative", "clients rotate --overlap=-1s "+other)
		sh.refuses(t, "takes NAME", "clients add")
		sh.refuses(t, "in memory", "clients list --database=sqlite::memory:")
		audit := sh.run(t, "audit --json")
		for action, times := range map[string]int{"added": 2, "rotated": 2, "removed": 1} {
			wantSame(t, action, times,
				strings.Count(audit, `"actor":"cli","actorId":null,"action":"client-`+action+`"`))
		}
		for _, text := range []string{first, second, third, secret} {
			wantNone(t, audit, text)
		}
	})
}
