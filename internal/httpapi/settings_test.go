package httpapi_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// databaseSettings are what people set for a database, a role or a server, and values with which statements mean
// something else or answers are written in another way.
var databaseSettings = map[string]map[string]string{
	"bytes":    {"bytea_output": "escape"},
	"dates":    {"datestyle": "German, DMY", "timezone": "America/St_Johns", "intervalstyle": "sql_standard"},
	"encoding": {"client_encoding": "LATIN1"},
	"strings":  {"standard_conforming_strings": "off", "backslash_quote": "on", "escape_string_warning": "off"},
	"transactions": {
		"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on",
		"idle_in_transaction_session_timeout": "5000", "idle_session_timeout": "200", "statement_timeout": "5000",
	},
	"schema": {"search_path": "nowhere"},
	"others": {
		"quote_all_identifiers": "on", "extra_float_digits": "-15", "transform_null_equals": "on",
		"check_function_bodies": "off", "array_nulls": "off", "xmlbinary": "hex", "lc_messages": "C", "lc_time": "C",
		"plan_cache_mode": "force_generic_plan",
		"row_security":    "off", "exit_on_error": "on", "track_activities": "off", "client_min_messages": "debug1",
		"default_statistics_target": "1", "enable_indexscan": "off",
	},
}

const tricky = `back\\slash, 'quotes', \\' or 1=1 --, Ærøskøbing, 日本, 🦊`

// journey does what reads and writes values of every kind, and returns the answers without what is random in them.
func (s *server) journey(t *testing.T, name string) (transcript []string) {
	t.Helper()
	s.limit(50, 50, 500)
	s.Throttle.Registrations = 500
	random := regexp.MustCompile(`"(token|accessToken|refreshToken|id)":"[^"]+"`)
	do := func(status int, c call) answer {
		t.Helper()
		got := s.do(t, c)
		if got.status != status {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, got.status, status, got.body)
		}
		transcript = append(transcript, fmt.Sprint(got.status, random.ReplaceAllString(got.body, "")))
		return got
	}
	send := func(method, path, token, body string) call {
		return call{method: method, path: path, token: token, body: body}
	}
	token := do(201, registration(name, name+"@test.com", password)).token(t)
	do(409, registration(name, name+"@test.com", password))
	do(200, login(name+"@test.com", password))
	do(401, login(name+"@test.com", "wrong password"))
	session := do(201, sessionCall("/api/sessions", "email", name+"@test.com", "password", password))
	refreshToken := session.tokens(t).RefreshToken
	refreshed := do(200, sessionCall("/api/sessions/refresh", "refreshToken", refreshToken))
	do(200, get("/api/user", refreshed.tokens(t).AccessToken))
	do(200, send("PUT", "/api/user", token, `{"user":{"bio":"`+tricky+`"}}`))
	for n := range 3 {
		do(201, send("POST", "/api/articles", token,
			fmt.Sprintf(`{"article":{"title":"On %s %d","description":"d","body":"%s","tagList":["t, {x}","'","日"]}}`,
				name, n, tricky)))
	}
	do(200, post("/api/articles/on-"+name+"-1/favorite", token))
	do(201, send("POST", "/api/articles/on-"+name+"-1/comments", token, `{"comment":{"body":"`+tricky+`"}}`))
	do(200, get("/api/articles/on-"+name+"-1/comments", token))
	page := do(200, get("/api/articles?limit=2&author="+name, token))
	do(200, get("/api/articles?limit=2&author="+name+"&cursor="+page.at(t, "nextCursor").(string), token))
	do(200, get("/api/articles?offset=1&tag=%27", ""))
	do(200, get("/api/profiles/"+name, ""))
	do(200, get("/api/tags", ""))
	sessions := do(200, get("/api/user/sessions", token))
	transcript = transcript[:len(transcript)-1] // their order is by chance, for they began at the same time
	expiries := regexp.MustCompile(`"expiresAt":"[^"]*"`).FindAllString(sessions.body, -1)
	slices.Sort(expiries)
	transcript = append(transcript, expiries...)
	do(200, send("PUT", "/api/user", token, `{"user":{"username":"`+name+`2","password":"another password"}}`))
	do(204, send("DELETE", "/api/articles/on-"+name+"-2", token, ""))
	do(204, post("/api/users/logout", token))
	do(401, get("/api/user", token))
	return transcript
}

// TestSettingsOfDatabases: what is set for a database, before the start or while the server runs, changes no answer.
func TestSettingsOfDatabases(t *testing.T) {
	t.Parallel()
	options := store.Options{Timeout: 30 * time.Second}
	plain := newServer(t, storetest.Postgres(t), options)
	before, later := plain.journey(t, "jake"), plain.journey(t, "jane")
	for name, settings := range databaseSettings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			set := func(url string) {
				for name, value := range settings {
					execute(t, url, fmt.Sprintf(`do $$ begin
						execute format('alter database %%I set %s = %%L', current_database(), '%s');
					end $$`, name, value))
				}
			}
			running := newServer(t, url, options)
			if diff := cmp.Diff(before, running.journey(t, "jake")); diff != "" {
				t.Fatalf("before the setting (-want +got):\n%s", diff)
			}
			set(url)
			hangUpAll(t, url)
			wantSame(t, "set while it runs", later, running.journey(t, "jane"))
			running.do(t, get("/healthz", "")).want(t, http.StatusOK, "")

			if name == "schema" { // refused at the start, see TestUnfitDatabases
				return
			}
			other := storetest.Postgres(t)
			set(other)
			db := storetest.Open(t, other, options)
			if err := db.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantSame(t, "set before the start", before, newServerOn(t, db).journey(t, "jake"))
			if name == "transactions" { // refused behind a pooler
				return
			}
			pooled := storetest.Postgres(t)
			set(pooled)
			pooled, _ = storetest.NewPgbouncer(t, pooled, byTransaction)
			wantSame(t, "behind a pooler", before, newServer(t, pooled, options).journey(t, "jake"))
		})
	}
}
