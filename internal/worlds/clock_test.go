package worlds_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// advance moves a world's clock by so many seconds.
func (s *server) advance(w world, seconds float64) world {
	s.Helper()
	return worldOf(s.T, s.want(http.StatusOK, http.MethodPut, "/worlds/"+w.ID+"/clock", "",
		fmt.Sprintf(`{"clock":{"advance":%v}}`, seconds)))
}

const day = 24 * 60 * 60

func TestClock(t *testing.T) {
	t.Parallel()
	s := newServer(t, 64)
	const spec = `{"seed":3,"at":"2026-01-02T12:00:00Z","demo":true}`

	t.Run("a token expires", func(t *testing.T) {
		w := s.make(spec)
		token := s.login(w)
		s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/user", token, "")
		s.advance(w, day-1)
		s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/user", token, "")
		s.advance(w, 10)
		got := s.want(http.StatusUnauthorized, http.MethodGet, w.BaseURL+"/user", token, "")
		if messages := fmt.Sprint(member(t, got.body, "errors", "token")); messages != "[has expired]" {
			t.Error("the token", messages)
		}
	})
	t.Run("a throttle clears", func(t *testing.T) {
		w := s.make(spec)
		wrong := `{"user":{"email":"johndoe@example.com","password":"a wrong password"}}`
		var got answer
		for range 6 {
			var err error
			got, err = ask(t.Context(), s.Client(), http.MethodPost, w.BaseURL+"/users/login", "", wrong)
			if err != nil {
				t.Fatal(err)
			}
		}
		if got.status != http.StatusTooManyRequests {
			t.Fatal("the sixth wrong password:", got.status)
		}
		s.want(http.StatusTooManyRequests, http.MethodPost, w.BaseURL+"/users/login", "", john)
		s.advance(w, day)
		s.login(w)
	})
	t.Run("time goes back", func(t *testing.T) {
		w := s.make(spec)
		token := s.login(w)
		before := s.advance(w, -30*day)
		if want := time.Date(2025, 12, 3, 12, 0, 0, 0, time.UTC); !before.At.Equal(want) {
			t.Error("the clock shows", before.At, "want", want)
		}
		s.want(http.StatusUnauthorized, http.MethodGet, w.BaseURL+"/user", token, "") // it is from the future
		s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/user", s.login(w), "")
		s.advance(w, 30*day)
		s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/user", token, "")
	})
	t.Run("keys rotate, and old tokens go on", func(t *testing.T) {
		w := s.make(spec)
		keys := func() int {
			got := s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/.well-known/jwks.json", "", "")
			return len(member(t, got.body, "keys").([]any))
		}
		if keys() != 1 {
			t.Fatal("a new world has more than one key")
		}
		s.advance(w, 31*day)
		if keys() != 2 {
			t.Error("after a month there is no next key")
		}
		s.advance(w, 3600)
		s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/user", s.login(w), "")
	})
	t.Run("it runs, and stops", func(t *testing.T) {
		w := s.make(`{"at":"2026-01-02T12:00:00Z","frozen":false}`)
		s.clock.move(time.Minute)
		shown := worldOf(t, s.want(http.StatusOK, http.MethodGet, "/worlds/"+w.ID, "", ""))
		if shown.Frozen || !shown.At.Equal(w.At.Add(time.Minute)) {
			t.Error("a minute later it shows", shown.At, shown.Frozen)
		}
		s.want(http.StatusOK, http.MethodPut, "/worlds/"+w.ID+"/clock", "", `{"clock":{"frozen":true}}`)
		s.clock.move(time.Minute)
		shown = worldOf(t, s.want(http.StatusOK, http.MethodGet, "/worlds/"+w.ID, "", ""))
		if !shown.Frozen || !shown.At.Equal(w.At.Add(time.Minute)) {
			t.Error("stopped, and a minute later it shows", shown.At, shown.Frozen)
		}
	})
	t.Run("it is set", func(t *testing.T) {
		w := s.make(`{"at":"2026-01-02T12:00:00Z"}`)
		got := worldOf(t, s.want(http.StatusOK, http.MethodPut, "/worlds/"+w.ID+"/clock", "",
			`{"clock":{"at":"2030-01-02T12:00:00.123456+02:00"}}`))
		if want := time.Date(2030, 1, 2, 10, 0, 0, 123e6, time.UTC); !got.At.Equal(want) {
			t.Error("it shows", got.At, "want", want)
		}
	})
	for _, test := range []struct{ clock, field, message string }{
		{`{}`, "clock", "can't be blank"},
		{`{"at":"2030-01-02T12:00:00Z","advance":1}`, "advance", "is not allowed beside at"},
		{`{"at":"1969-12-31T23:59:59Z"}`, "at", "is out of range"},
		{`{"at":"2200-01-01T00:00:00Z"}`, "at", "is out of range"},
		{`{"at":"2026-02-30T00:00:00Z"}`, "at", "is not valid"},
		{`{"advance":7258118400}`, "advance", "is out of range"},
		{`{"advance":1e300}`, "advance", "is too large (maximum is 7258118400)"},
		{`{"advance":"1"}`, "advance", "must be a number"},
	} {
		t.Run(test.clock, func(t *testing.T) {
			w := s.make(`{"at":"2026-01-02T12:00:00Z"}`)
			got := s.want(http.StatusUnprocessableEntity, http.MethodPut, "/worlds/"+w.ID+"/clock", "",
				`{"clock":`+test.clock+`}`)
			if messages := fmt.Sprint(member(t, got.body, "errors", test.field)); messages != "["+test.message+"]" {
				t.Errorf("%s: %s", got.body, messages)
			}
		})
	}
}
