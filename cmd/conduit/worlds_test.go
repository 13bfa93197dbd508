package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestWorlds: the program makes worlds beside the server itself, says loudly that it does, and ends them when it stops.
func TestWorlds(t *testing.T) {
	t.Parallel()
	log := &logged{}
	keyFile := filepath.Join(t.TempDir(), "conduit.key")
	i := serveLogging(t, log, "sqlite::memory:", keyFile, "--worlds", "--worlds-limit=1", "--worlds-idle=1m")
	wantWords(t, i.banner, "WORLDS", i.origin()+"/worlds")

	const spec = `{"world":{"seed":7,"at":"2026-01-02T12:00:00Z","demo":true}}`
	made := i.outside().reply(t, 201, "POST /worlds", "", spec)
	world := into[struct{ World struct{ ID, BaseURL string } }](t, made.text).World
	if want := i.origin() + "/worlds/" + world.ID; world.BaseURL != want+"/api" || made.leads.String() != want {
		t.Errorf("the world is at %s, and Location leads to %s, want %s", world.BaseURL, made.leads, want)
	}
	inside := i
	inside.url = world.BaseURL
	user := `{"user":{"email":"johndoe@example.com","password":"password123"}}`
	token := tokenIn(t, inside.want(t, 200, "POST /users/login", "", user))
	inside.want(t, 200, "GET /user", token)
	i.want(t, 401, "GET /user", token)
	i.want(t, 422, "POST /users/login", "", `{"user":{}}`)
	i.outside().want(t, 429, "POST /worlds", "", spec)

	// A delay does not keep the program from stopping.
	i.outside().want(t, 200, "PUT /worlds/"+world.ID+"/faults", "", `{"faults":[{"operationId":"getTags","delay":60}]}`)
	delayed := make(chan error, 1)
	go func() {
		_, err := inside.send(t.Context(), "GET /tags", "", "")
		delayed <- err
	}()
	for !strings.Contains(i.outside().want(t, 200, "GET /worlds/"+world.ID+"/faults", ""), `"met":1`) {
	}
	i.stop(t)
	wantWords(t, log.String(), "level=WARN", "never in production")
	if err := <-delayed; err != nil {
		t.Log("the request that waited:", err) // or it got 503
	}
}

// TestWorldsAreForTests: nobody gets them in production by mistake.
func TestWorldsAreForTests(t *testing.T) {
	t.Parallel()
	plain := serveOn(t, "sqlite::memory:", filepath.Join(t.TempDir(), "k"))
	plain.outside().want(t, 404, "POST /worlds", "", `{"world":{}}`)
	for _, flag := range []string{
		"--public-url=https://conduit.example.com", "--trusted-proxies=10.0.0.0/8", "--listen=0.0.0.0:0",
	} {
		shell{"CONDUIT_LISTEN": "127.0.0.1:0"}.refuses(t, "--worlds-anywhere",
			"serve --worlds --database=sqlite::memory: "+flag)
	}
	everywhere := serveOn(t, "sqlite::memory:", filepath.Join(t.TempDir(), "k"), "--worlds", "--worlds-anywhere",
		"--public-url=https://conduit.example.com/blog")
	made := everywhere.outside().do(t, "POST /blog/worlds", "", `{"world":{}}`, forwarded...)
	world := into[struct{ World struct{ ID, BaseURL string } }](t, made.text).World
	if want := "https://conduit.example.com/blog/worlds/" + world.ID + "/api"; world.BaseURL != want {
		t.Errorf("behind a proxy, the world is at %s, want %s", world.BaseURL, want)
	}
	for _, prefix := range []string{"/blog", ""} { // which a proxy may have stripped
		everywhere.outside().want(t, 200, "GET "+prefix+"/worlds/"+world.ID+"/api/tags", "")
		everywhere.outside().want(t, 200, "GET "+prefix+"/worlds/"+world.ID, "")
	}
	here := serveOn(t, "sqlite::memory:", filepath.Join(t.TempDir(), "k"), "--worlds")
	if got := here.outside().do(t, "POST /worlds", "", `{"world":{}}`, forwarded...); got.status != 403 {
		t.Errorf("through a tunnel: %d, want 403", got.status)
	}
}
