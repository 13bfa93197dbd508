package worlds_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// traveller walks through a world and notes every answer, to the byte, but for what names the world.
type traveller struct {
	client *http.Client
	world  world
	root   string // of the server
	chance *rand.Rand
	seen   []string

	tokens, refresh, slugs, users []string
	comments                      []string // paths
	articles                      int
}

// asking adds to some requests a key, which others have had before, and has some errors be problems.
type asking struct {
	http.RoundTripper
	chance *rand.Rand
}

// RoundTrip implements [http.RoundTripper].
func (a asking) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Method != http.MethodGet && a.chance.IntN(2) == 0 {
		r.Header.Set("Idempotency-Key", fmt.Sprint(a.chance.IntN(8)))
	}
	if a.chance.IntN(4) == 0 {
		r.Header.Set("Accept", "application/problem+json")
	}
	return a.RoundTripper.RoundTrip(r)
}

// step is something that a traveller may do.
type step func(v *traveller, ctx context.Context) error

// ask sends a request, notes the answer and returns its body.
func (v *traveller) ask(ctx context.Context, method, path, token, body string) (map[string]any, error) {
	got, err := ask(ctx, v.client, method, v.world.BaseURL+path, token, body)
	if err != nil {
		return nil, err
	}
	v.note(method+" "+path, got)
	var object map[string]any
	_ = json.Unmarshal(got.body, &object) // some answers have no body
	return object, nil
}

func (v *traveller) note(what string, got answer) {
	got.header.Del("Date")
	var headers []string
	for name, values := range got.header {
		headers = append(headers, name+": "+strings.Join(values, "|"))
	}
	slices.Sort(headers)
	text := fmt.Sprintf("%s\n%d\n%s\n%s", what, got.status, strings.Join(headers, "\n"), got.body)
	v.seen = append(v.seen, strings.ReplaceAll(text, v.world.ID, "WORLD"))
}

func (v *traveller) any(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[v.chance.IntN(len(list))]
}

// at returns a member of a body, or "".
func at(body map[string]any, path ...string) string {
	var value any = body
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	text, _ := value.(string)
	return text
}

var steps = []step{
	func(v *traveller, ctx context.Context) error {
		name := fmt.Sprintf("walker%d", len(v.users))
		body, err := v.ask(ctx, "POST", "/users", "", fmt.Sprintf(
			`{"user":{"username":%q,"email":"%s@example.com","password":"a long password"}}`, name, name))
		v.users = append(v.users, name)
		if token := at(body, "user", "token"); token != "" {
			v.tokens = append(v.tokens, token)
		}
		return err
	},
	func(v *traveller, ctx context.Context) error {
		body, err := v.ask(ctx, "POST", "/users/login", "",
			fmt.Sprintf(`{"user":{"email":"%s@example.com","password":"a long password"}}`, v.any(v.users)))
		if token := at(body, "user", "token"); token != "" {
			v.tokens = append(v.tokens, token)
		}
		return err
	},
	func(v *traveller, ctx context.Context) error { // often enough for a throttle
		_, err := v.ask(ctx, "POST", "/users/login", "",
			fmt.Sprintf(`{"user":{"email":"%s@example.com","password":"a wrong password"}}`, v.any(v.users)))
		return err
	},
	func(v *traveller, ctx context.Context) error {
		body, err := v.ask(ctx, "POST", "/sessions", "",
			fmt.Sprintf(`{"user":{"email":"%s@example.com","password":"a long password"}}`, v.any(v.users)))
		if token := at(body, "session", "refreshToken"); token != "" {
			v.refresh = append(v.refresh, token)
		}
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "POST", "/sessions/refresh", "",
			fmt.Sprintf(`{"session":{"refreshToken":%q}}`, v.any(v.refresh)))
		return err
	},
	func(v *traveller, ctx context.Context) error {
		v.articles++
		body, err := v.ask(ctx, "POST", "/articles", v.any(v.tokens), fmt.Sprintf(
			`{"article":{"title":"On %d","description":"d","body":"b","tagList":["t%d"]}}`, v.articles%4, v.articles%3))
		if slug := at(body, "article", "slug"); slug != "" {
			v.slugs = append(v.slugs, slug)
		}
		return err
	},
	func(v *traveller, ctx context.Context) error {
		slug := v.any(v.slugs)
		body, err := v.ask(ctx, "POST", "/articles/"+slug+"/comments", v.any(v.tokens), `{"comment":{"body":"hm"}}`)
		if comment, ok := body["comment"].(map[string]any); ok {
			v.comments = append(v.comments, fmt.Sprintf("/articles/%s/comments/%v", slug, comment["id"]))
		}
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "DELETE", v.any(v.comments), v.any(v.tokens), "")
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "POST", "/articles/"+v.any(v.slugs)+"/favorite", v.any(v.tokens), "")
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "PUT", "/articles/"+v.any(v.slugs), v.any(v.tokens), `{"article":{"body":"another"}}`)
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "POST", "/profiles/"+v.any(v.users)+"/follow", v.any(v.tokens), "")
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "GET", "/articles/feed", v.any(v.tokens), "")
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "GET", "/articles?limit=5", "", "")
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "GET", "/tags", "", "")
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "GET", "/user/sessions", v.any(v.tokens), "")
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "GET", "/user/export", v.any(v.tokens), "")
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "POST", "/user/factors/app", v.any(v.tokens), `{"app":{"password":"a long password"}}`)
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "POST", "/sessions/passkey-challenge", "", "")
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "POST", "/password-resets", "",
			fmt.Sprintf(`{"passwordReset":{"email":"%s@example.com"}}`, v.any(v.users)))
		return err
	},
	func(v *traveller, ctx context.Context) error {
		_, err := v.ask(ctx, "GET", "/.well-known/jwks.json", "", "")
		return err
	},
	func(v *traveller, ctx context.Context) error {
		if v.chance.IntN(4) > 0 {
			return nil
		}
		_, err := v.ask(ctx, "DELETE", "/user", v.any(v.tokens), `{"user":{"password":"a long password"}}`)
		return err
	},
	func(v *traveller, ctx context.Context) error {
		got, err := ask(ctx, v.client, "PUT", v.root+"/worlds/"+v.world.ID+"/clock", "",
			fmt.Sprintf(`{"clock":{"advance":%d}}`, v.chance.IntN(1_000_000)-200_000))
		if err != nil || got.status != http.StatusOK {
			return fmt.Errorf("moving the clock: %d, %w", got.status, err)
		}
		return nil
	},
}

// travel makes a journey through a world of its own, and returns what was seen. The world is deleted.
func (s *server) travel(ctx context.Context, journey uint64, length int) ([]string, error) {
	got, err := ask(ctx, s.Client(), "POST", s.URL+"/worlds", "", fmt.Sprintf(
		`{"world":{"seed":%d,"at":"2026-01-02T12:00:00Z","demo":%v}}`, 1+journey%3, journey%2 == 0))
	if err != nil || got.status != http.StatusCreated {
		return nil, fmt.Errorf("making a world: %d, %w: %s", got.status, err, got.body)
	}
	v := &traveller{
		client: &http.Client{Transport: asking{s.Client().Transport, rand.New(rand.NewPCG(journey, 2))}},
		world:  worldOf(s.T, got), root: s.URL, chance: rand.New(rand.NewPCG(journey, 1)),
	}
	if err := steps[0](v, ctx); err != nil {
		return nil, err
	}
	for range length {
		if err := steps[v.chance.IntN(len(steps))](v, ctx); err != nil {
			return v.seen, err
		}
	}
	_, err = ask(ctx, s.Client(), "DELETE", s.URL+"/worlds/"+v.world.ID, "", "")
	return v.seen, err
}

// TestJourneysTogether: what is done in one world never shows in another. Each journey sees the same among 63 others as
// alone.
func TestJourneysTogether(t *testing.T) {
	t.Parallel()
	s := newServer(t, 64)
	const journeys, length = 64, 30
	alone := make([][]string, journeys)
	for i := range alone {
		var err error
		if alone[i], err = s.travel(t.Context(), uint64(i), length); err != nil {
			t.Fatal(err)
		}
	}
	together := make([][]string, journeys)
	var travelling sync.WaitGroup
	for i := range together {
		travelling.Go(func() {
			var err error
			if together[i], err = s.travel(t.Context(), uint64(i), length); err != nil {
				t.Error(err)
			}
		})
	}
	travelling.Wait()
	statuses := map[string]int{}
	for i := range alone {
		for n, want := range alone[i] {
			_, rest, _ := strings.Cut(want, "\n")
			statuses[rest[:3]]++
			if n >= len(together[i]) || together[i][n] != want {
				t.Fatalf("journey %d, step %d, among others:\n%s\nalone:\n%s", i, n,
					together[i][min(n, len(together[i])-1)], want)
			}
		}
	}
	t.Log("answers by status:", statuses)
	for _, kind := range []string{"Idempotent-Replayed: true", "application/problem+json", "was used for another"} {
		has := func(seen string) bool { return strings.Contains(seen, kind) }
		if !slices.ContainsFunc(slices.Concat(alone...), has) {
			t.Error("no answer has", kind)
		}
	}
}

func TestOneSeedOneWorld(t *testing.T) {
	t.Parallel()
	s := newServer(t, 4)
	first, err := s.travel(t.Context(), 6, 40)
	again, errAgain := s.travel(t.Context(), 6, 40)
	other, errOther := s.travel(t.Context(), 7, 0)
	if err != nil || errAgain != nil || errOther != nil {
		t.Fatal(err, errAgain, errOther)
	}
	if !slices.Equal(first, again) {
		t.Error("the same seed shows something else")
	}
	if first[0] == other[0] {
		t.Error("another seed shows the same:", other[0])
	}
}
