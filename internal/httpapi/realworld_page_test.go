package httpapi_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// exchange is a row of the table in docs/from-realworld.md.
var exchange = regexp.MustCompile("(?m)^\\| ([^|]+) \\| `([A-Z]+) (\\S+)`(?: `(.+?)`)? \\| (\\d+)(?: `(.+)`)? \\|$")

// TestFromRealWorld sends what docs/from-realworld.md says, in its order, and gets what it says.
func TestFromRealWorld(t *testing.T) {
	page, err := os.ReadFile("../../docs/from-realworld.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := exchange.FindAllStringSubmatch(string(page), -1)
	_, table, _ := strings.Cut(string(page), "| when | request | answer |\n| --- | --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if want := strings.Count(table, "\n") + 1; len(rows) != want || want < 10 {
		t.Fatalf("%d of %d rows can be read", len(rows), want)
	}
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		s.publish(t, jake, "One")
		for _, row := range rows {
			when, method, path, body, status, answer := row[1], row[2], row[3], row[4], row[5], row[6]
			token := ""
			if strings.HasSuffix(when, "(jake)") {
				token = jake
			}
			got := s.do(t, call{method: method, path: "/api" + path, token: token, body: body})
			if strconv.Itoa(got.status) != status || !strings.Contains(got.body, answer) {
				t.Errorf("%s: %d %s, and the page says %s %s", when, got.status, got.body, status, answer)
			}
			if strings.HasPrefix(answer, "{") && strings.TrimSpace(got.body) != answer {
				t.Errorf("%s: %s, and the page says %s", when, got.body, answer)
			}
		}
	})
}
