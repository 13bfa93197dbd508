package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestAudit: what a server and the keys commands did is printed, as a table and for programs.
func TestAudit(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		command := func(args ...string) string {
			t.Helper()
			out, err := invoke(t, map[string]string{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": keyFile}, args...)
			if err != nil {
				t.Fatalf("%v: %v", args, err)
			}
			return out
		}
		// rows gives the columns actor, action and target of the table.
		rows := func(args ...string) (rows []string) {
			t.Helper()
			lines := strings.Split(strings.TrimSuffix(command(append([]string{"audit"}, args...)...), "\n"), "\n")
			header := regexp.MustCompile(`\ATIME +ACTOR +ACTION +TARGET +IP ADDRESS +REQUEST +USER AGENT\z`)
			if !header.MatchString(lines[0]) {
				t.Errorf("heading %s", lines[0])
			}
			for _, line := range lines[1:] {
				fields := strings.Fields(line)
				if len(fields) < 8 {
					t.Fatalf("line %s", line)
				}
				rows = append(rows, strings.Join(fields[2:5], " "))
			}
			return rows
		}
		want := func(got []string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		}

		i := serveOn(t, url, keyFile)
		_, first := i.tokenOf(t, "/users")
		if status, text := i.do(t, "POST", "/users/login", "",
			`{"user":{"email":"jake@example.com","password":"wrong"}}`); status != http.StatusUnauthorized {
			t.Error(status, text)
		}
		if err := i.stop(); err != nil {
			t.Error(err)
		}
		want(rows(), "anonymous login-failed user:1", "user:1 registered user:1", "system key-made key:"+first)

		next, _, _ := strings.Cut(command("keys", "rotate"), " ")
		command("keys", "rotate") // waits already: nothing happens
		want(rows("--limit=1"), "cli key-made key:"+next)
		command("keys", "rotate", "--now")
		want(rows("--limit=1"), "cli key-activated-early key:"+next)
		made, _, _ := strings.Cut(command("keys", "rotate", "--now"), " ")
		want(rows("--limit=2"), "cli key-activated-early key:"+made, "cli key-made key:"+made)
		waiting, _, _ := strings.Cut(command("keys", "rotate"), " ")
		command("keys", "revoke", "--", made)
		command("keys", "revoke", "--", made) // once is enough
		want(rows("--limit=3"), "cli key-activated-early key:"+waiting, "cli key-revoked key:"+made,
			"cli key-made key:"+waiting)
		command("keys", "revoke", "--", waiting)
		if got := rows("--limit=3"); !strings.HasPrefix(got[0], "cli key-activated-early ") ||
			strings.Replace(got[0], "activated-early", "made", 1) != got[1] ||
			got[2] != "cli key-revoked key:"+waiting {
			t.Errorf("a new key in the place of one that is revoked: %v", got)
		}

		want(rows("--user=JAKE"), "anonymous login-failed user:1", "user:1 registered user:1")
		want(rows("--user=user:1", "--action=registered"), "user:1 registered user:1")
		want(rows("--user=user:2"))
		if _, err := invoke(t, nil, "audit", "--database", url, "--user=nobody"); err == nil ||
			!strings.Contains(err.Error(), "there is nobody of this name") {
			t.Errorf("events of nobody: %v", err)
		}

		lines := strings.Split(strings.TrimSuffix(command("audit", "--json", "--user=jake"), "\n"), "\n")
		var event struct {
			ID                                                     int64
			At                                                     time.Time
			Actor, Action, Target, IPAddress, UserAgent, RequestID string
			ClientRequestID                                        string
			ActorID                                                *int64
			Count                                                  int64
		}
		if len(lines) != 2 {
			t.Fatalf("JSON %q", lines)
		}
		if err := json.Unmarshal([]byte(lines[1]), &event); err != nil || event.ID != 2 || event.ActorID == nil ||
			*event.ActorID != 1 ||
			event.Actor != "user" || event.Action != "registered" || event.Target != "user:1" ||
			event.IPAddress != "127.0.0.1" ||
			event.UserAgent != "Go-http-client/1.1" || len(event.RequestID) != 26 || event.ClientRequestID != "" ||
			event.At.IsZero() || event.Count != 1 {
			t.Errorf("%s: %+v, %v", lines[1], event, err)
		}
	})
}

// TestAuditShowsClients: a client's name is no command to the terminal. A row that stands for many says so.
func TestAuditShowsClients(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	db := storetest.Open(t, url, store.Options{})
	if err := db.Record(t.Context(), identity.Event{
		At: time.Date(2026, 2, 18, 3, 22, 56, 0, time.UTC), Actor: identity.ActorAnonymous,
		Action: identity.LoginFailed,
		Target: "user:1", UserAgent: "ü \x1b[2J\t\"x\"", Count: 37,
	}); err != nil {
		t.Fatal(err)
	}
	out, err := invoke(t, nil, "audit", "--database", url)
	const hostile = `2026-02-18 03:22:56Z  anonymous  login-failed ×37  user:1  -           -        ü \x1b[2J\t\"x\"`
	if err != nil || !strings.HasSuffix(out, hostile+"\n") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestAuditExportAndPrune: what is exported before it is pruned is all that goes, in order, also when it is much.
func TestAuditExportAndPrune(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second})
		day := time.Date(2026, 2, 18, 0, 0, 0, 0, time.UTC)
		const old = 1001 // more than a batch, of both
		var events []identity.Event
		for i := range old + 1 {
			event := identity.KeyChange{KeyID: fmt.Sprint("K", i), Made: true}.Events(identity.ActorSystem, day)[0]
			event.ClientRequestID = "C"
			if i < old {
				event.At = day.Add(-time.Millisecond)
			}
			events = append(events, event)
		}
		if err := db.Record(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "audit.jsonl")
		run := func(want string, args ...string) string {
			t.Helper()
			out, err := invoke(t, map[string]string{"CONDUIT_DATABASE": url}, append([]string{"audit"}, args...)...)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%v: %v, want %q", args, err, want)
			}
			return out
		}
		run("", "export", "--before=2026-02-18", "--output", file)
		run("file exists", "export", "--output", file)
		written, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(written), "\n"), "\n")
		if len(lines) != old || !strings.Contains(lines[0], `"target":"key:K0"`) ||
			!strings.Contains(lines[old-1], `"target":"key:K1000"`) ||
			!strings.Contains(lines[0], `"clientRequestId":"C"`) {
			t.Errorf("%d lines, from %s to %s", len(lines), lines[0], lines[len(lines)-1])
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("others may read it: %v, %v", info, err)
		}

		for want, args := range map[string][]string{
			"takes --before or --older-than": {},
			"--older-than: ":                 {"--older-than=a year"},
			"want a time as":                 {"--before=yesterday"},
			"want a time that has passed":    {"--before=9999-01-01"},
			"must not be negative":           {"--older-than=-1h"},
			"say --yes":                      {"--older-than=90d"},
		} {
			run(want, append([]string{"prune"}, args...)...)
		}
		run("takes --before or --older-than", "prune", "--older-than=90d", "--before=2026-02-18", "--yes")
		if out := run("", "prune", "--older-than=60000d", "--yes"); !strings.HasPrefix(out, "0 events from before ") {
			t.Error(out)
		}
		if out := run("", "prune", "--before=2026-02-18",
			"--yes"); out != "1001 events from before 2026-02-18 00:00:00Z are removed\n" {
			t.Error(out)
		}
		left := strings.Split(strings.TrimSuffix(run("", "export"), "\n"), "\n")
		if len(left) != 3 || !strings.Contains(left[0], "key:K1001") ||
			!strings.Contains(left[1], `"action":"audit-pruned","target":"before:2026-02-18T00:00:00Z"`) ||
			!strings.Contains(left[1], `"count":1000`) || !strings.Contains(left[2], `"count":1,`) {
			t.Errorf("left are %s", left)
		}
		if got := run("", "export", "--action=audit-pruned"); strings.Count(got, "\n") != 2 {
			t.Errorf("one action: %s", got)
		}
	})
}
