package worlds_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
)

// stream is a stream of a world's events, as a client gets it.
type stream struct {
	*testing.T
	lines *bufio.Scanner
	id    string // the last one
}

// follow begins a stream. It ends with the test.
func (s *server) follow(w world, token, after string) *stream {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	s.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.BaseURL+"/user/events", nil)
	if err != nil {
		s.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	response, err := s.Client().Do(request)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		s.Fatal("a stream of events:", response.StatusCode)
	}
	return &stream{T: s.T, lines: bufio.NewScanner(response.Body)}
}

// next returns the lines up to the end of the next block that has a line with this name, without signs of life.
func (s *stream) next(name string) string {
	s.Helper()
	block, wanted := "", false
	for s.lines.Scan() {
		line := s.lines.Text()
		if after, found := strings.CutPrefix(line, "id: "); found {
			s.id = after
		}
		switch wanted = wanted || strings.HasPrefix(line, name+": "); {
		case line == "" && wanted:
			return block
		case line == "":
			block = ""
		case line != ": ":
			block += line + "\n"
		}
	}
	s.Fatal("the stream has ended without", name, s.lines.Err())
	return ""
}

// TestOneSeedOneStream: events have the same ids and moments in worlds with one seed, whatever the machine's clock
// shows.
func TestOneSeedOneStream(t *testing.T) {
	t.Parallel()
	s := newServer(t, 4)
	follow := func() (told []string) {
		w := s.make(`{"seed":3,"at":"2031-01-02T12:00:00Z","demo":true}`)
		events := s.follow(w, s.login(w), "")
		told = append(told, events.next("retry"))
		s.want(http.StatusNoContent, http.MethodPost, w.BaseURL+"/users/logout", s.login(w), "")
		told = append(told, events.next("event"), events.next("event"))
		s.advance(w, day)
		return append(told, events.next("event"))
	}
	first, again := follow(), follow()
	for i := range first {
		if first[i] != again[i] {
			t.Errorf("the same seed tells something else:\n%s\n%s", first[i], again[i])
		}
	}
	for i, wanted := range map[int]string{
		2: `"at":"2031-01-02T12:00:00.000Z"`, 3: `"at":"2031-01-03T12:00:00.000Z"`,
	} {
		if !strings.Contains(first[i], wanted) || !strings.Contains(first[i], "session-ended") {
			t.Errorf("%swant %s", first[i], wanted)
		}
	}
}

// TestEventsAge: whoever comes again within a day of the world's clock misses nothing, and whoever comes later is told.
func TestEventsAge(t *testing.T) {
	t.Parallel()
	s := newServer(t, 4)
	w := s.make(`{"at":"2031-01-02T12:00:00Z","demo":true}`)
	events := s.follow(w, s.login(w), "")
	events.next("retry")
	s.login(w)
	s.advance(w, day-1)
	again := s.follow(w, s.login(w), events.id)
	if got := again.next("event"); !strings.Contains(got, `"type":"login"`) {
		t.Error("within a day:", got)
	}
	s.advance(w, day)
	later := s.follow(w, s.login(w), events.id)
	if got := later.next("event"); !strings.Contains(got, `"type":"reset"`) {
		t.Error("after a day:", got)
	}
}
