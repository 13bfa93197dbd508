package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// auditLine is an event as `audit --json` prints it.
type auditLine struct {
	ID                                                                      int64
	At                                                                      time.Time
	Actor, Action, Target, IPAddress, UserAgent, RequestID, ClientRequestID string
	ActorName                                                               string
	ActorID                                                                 *int64
	Count                                                                   int64
}

// events reads what `audit --json` printed.
func events(t *testing.T, text string) (lines []auditLine) {
	t.Helper()
	for line := range strings.Lines(text) {
		lines = append(lines, into[auditLine](t, line))
	}
	return lines
}

// TestAudit: the audit log has what a server and the keys commands did, as a table and for programs.
func TestAudit(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		sh := shell{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": keyFile}
		heading := regexp.MustCompile(`\ATIME +ACTOR +ACTION +TARGET +IP ADDRESS +REQUEST +USER AGENT\n`)
		// rows wants the table to have these actors, actions and targets.
		rows := func(flags string, want ...string) {
			t.Helper()
			table := sh.run(t, "audit "+flags)
			if !heading.MatchString(table) {
				t.Errorf("heading of %s", table)
			}
			var got []string
			for _, line := range strings.Split(strings.TrimSuffix(table, "\n"), "\n")[1:] {
				fields := strings.Fields(line)
				if len(fields) < 8 {
					t.Fatalf("line %s", line)
				}
				got = append(got, strings.Join(fields[2:5], " "))
			}
			wantSame(t, "rows of audit "+flags, want, got)
		}
		// change runs a command and returns the first word it prints, which is a key.
		change := func(command string, more ...string) string {
			t.Helper()
			kid, _, _ := strings.Cut(sh.run(t, command, more...), " ")
			return kid
		}

		i := serveOn(t, url, keyFile)
		first := keyOf(t, i.register(t, "jake"))
		i.want(t, 401, "POST /users/login", "", `{"user":{"email":"jake@example.com","password":"wrong"}}`)
		i.stop(t)
		rows("", "anonymous login-failed user:1", "user:1 registered user:1", "system key-made key:"+first)

		next := change("keys rotate --as=root")
		change("keys rotate --as=root") // waits already: nothing happens
		rows("--limit=1", "cli:root key-made key:"+next)
		change("keys rotate --as=root --now")
		rows("--limit=1", "cli:root key-activated-early key:"+next)
		made := change("keys rotate --as=root --now")
		rows("--limit=2", "cli:root key-activated-early key:"+made, "cli:root key-made key:"+made)
		waiting := change("keys rotate --as=root")
		change("keys revoke --as=root --", made)
		change("keys revoke --as=root --", made) // once is enough
		rows("--limit=3", "cli:root key-activated-early key:"+waiting, "cli:root key-revoked key:"+made,
			"cli:root key-made key:"+waiting)
		change("keys revoke --as=root --", waiting)
		inItsPlace := regexp.MustCompile(`(\S+) +EdDSA +active`).FindStringSubmatch(sh.run(t, "keys list"))[1]
		rows("--limit=3", "cli:root key-activated-early key:"+inItsPlace, "cli:root key-made key:"+inItsPlace,
			"cli:root key-revoked key:"+waiting)

		rows("--user=JAKE", "anonymous login-failed user:1", "user:1 registered user:1")
		rows("--user=user:1 --action=registered", "user:1 registered user:1")
		rows("--user=user:2")
		sh.refuses(t, "there is nobody of this name", "audit --user=nobody")

		printed := events(t, sh.run(t, "audit --json --user=jake"))
		if len(printed) != 2 {
			t.Fatalf("events %v", printed)
		}
		got, one := printed[1], int64(1)
		if got.At.IsZero() || len(got.RequestID) != 26 {
			t.Errorf("time %v, request %q", got.At, got.RequestID)
		}
		wantSame(t, "an event", auditLine{
			ID: 2, At: got.At, Actor: "user", ActorID: &one, Action: "registered", Target: "user:1",
			IPAddress: "127.0.0.1", UserAgent: "Go-http-client/1.1", RequestID: got.RequestID, Count: 1,
		}, got)

	})
}

// TestAuditShowsClients: the name of a client cannot steer the terminal. A row that stands for many events has their
// number.
func TestAuditShowsClients(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	db := storetest.Open(t, url, store.Options{})
	must(t, db.Record(t.Context(), identity.Event{
		At: time.Date(2026, 2, 18, 3, 22, 56, 0, time.UTC), Actor: identity.ActorAnonymous,
		Action: identity.LoginFailed, Target: "user:1", UserAgent: "ü \x1b[2J\t\"x\"", Count: 37,
	}))
	const hostile = `2026-02-18 03:22:56Z  anonymous  login-failed ×37  user:1  -           -        ü \x1b[2J\t\"x\"`
	if out := (shell{}).run(t, "audit --database", url); !strings.HasSuffix(out, hostile+"\n") {
		t.Errorf("%q", out)
	}
}

// TestAuditExportAndPrune: an export holds all events that pruning then removes, in order, also if they are many.
func TestAuditExportAndPrune(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second})
		sh := shell{"CONDUIT_DATABASE": url}
		day := time.Date(2026, 2, 18, 0, 0, 0, 0, time.UTC)
		const old = 1001 // more than a batch, of both
		var recorded []identity.Event
		var want []string
		for i := range old + 1 {
			event := identity.KeyChange{KeyID: fmt.Sprint("K", i), Made: true}.Events(identity.BySystem{}, day)[0]
			event.ClientRequestID = "C"
			if i < old {
				event.At = day.Add(-time.Millisecond)
				want = append(want, event.Target+" C")
			}
			recorded = append(recorded, event)
		}
		must(t, db.Record(t.Context(), recorded...))
		file := filepath.Join(t.TempDir(), "audit.jsonl")
		sh.run(t, "audit export --before=2026-02-18 --output", file)
		sh.refuses(t, "file exists", "audit export --output", file)
		wantPrivate(t, file)
		written, err := os.ReadFile(file)
		must(t, err)
		var got []string
		for _, event := range events(t, string(written)) {
			got = append(got, event.Target+" "+event.ClientRequestID)
		}
		wantSame(t, "exported", want, got)

		for flags, want := range map[string]string{
			"":                    "takes --before or --older-than",
			"--before=yesterday":  "want a time as",
			"--before=9999-01-01": "want a time that has passed",
			"--older-than=-1h":    "must not be negative",
			"--older-than=90d":    "say --yes",
			"--older-than=90d --before=2026-02-18 --yes": "takes --before or --older-than",
		} {
			sh.refuses(t, want, "audit prune "+flags)
		}
		sh.refuses(t, "--older-than: ", "audit prune", "--older-than=a year")
		if out := sh.run(t, "audit prune --older-than=60000d --yes"); !strings.HasPrefix(out, "0 events from before ") {
			t.Error(out)
		}
		wantSame(t, "pruning says", "1001 events from before 2026-02-18 00:00:00Z are removed\n",
			sh.run(t, "audit prune --before=2026-02-18 --yes"))

		got = nil
		for _, event := range events(t, sh.run(t, "audit export")) {
			got = append(got, fmt.Sprint(event.Action, " ", event.Target, " ", event.Count))
		}
		wantSame(t, "left", []string{
			"key-made key:K1001 1",
			"audit-pruned before:2026-02-18T00:00:00Z 1000", "audit-pruned before:2026-02-18T00:00:00Z 1",
		}, got)

		if pruned := events(t, sh.run(t, "audit export --action=audit-pruned")); len(pruned) != 2 {
			t.Errorf("one action: %v", pruned)
		}
	})
}
