package history

import (
	"bufio"
	"strings"
	"testing"

	"conduit/tools/history/people"
)

// TestEvents follows what happens, from the beginning of the stream to a login on another device.
func TestEvents(t *testing.T) {
	jake := register(t, people.Server(t), "jake")
	answer, err := jake.StreamUserEvents(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		t.Fatalf("%d, want 200", answer.StatusCode)
	}
	stream := bufio.NewScanner(answer.Body)
	// told returns the lines up to the empty one behind this line.
	told := func(line string) (all string) {
		for begun := false; stream.Scan(); {
			begun = begun || strings.HasPrefix(stream.Text(), line)
			all += stream.Text() + "\n"
			if begun && stream.Text() == "" {
				return all
			}
		}
		t.Fatalf("ended after %s: %v", all, stream.Err())
		return ""
	}
	if beginning := told("id: "); !strings.HasPrefix(beginning, "retry: ") {
		t.Errorf("the beginning: %s", beginning)
	}
	session := jake.begin(t)
	if login := told("event: login"); !strings.Contains(login, `"`+session.Id+`"`) {
		t.Errorf("the login: %s", login)
	}
}
