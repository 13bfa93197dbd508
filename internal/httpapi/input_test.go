package httpapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"conduit/api"
)

// marker stands in every bad input where a password could; no answer and no log line may hold it.
const marker = "s3cr3t-mark3r"

// spoiled are bodies that no decoder should take for the contract's, whose only member WRAPPER stands for. What
// openapi.yaml forbids besides, negative_test.go derives from it.
var spoiled = []string{
	marker, `{"WRAPPER":{"password":"` + marker, `{"WRAPPER":-`, `true`, `1e400`, `[["` + marker + `"]]`,
	`{"wrapper":{}}`, `{"WRAPPER":{},"WRAPPER":{}}`, `{"WRAPPER":{},"ESCAPED":{}}`, `{'WRAPPER':{}}`,
	`{/* */"WRAPPER":{}}`, `{"WRAPPER":{},}`, `{"WRAPPER":NaN}`, `{"WRAPPER":{}} ` + marker, `{"WRAPPER":{}}{}`,
	`{"WRAPPER":{}}` + "\x00", "\ufeff\ufeff" + `{"WRAPPER":{}}`, "\xff\xfe{\x00}\x00",
	strings.Repeat("[", 8_000) + strings.Repeat("]", 8_000),
	strings.Repeat(`{"WRAPPER":`, 1_000) + "1" + strings.Repeat("}", 1_000),
	`{"WRAPPER":{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`,
	"{\"WRAPPER\":{\"\xff\":1}}", `{"WRAPPER":{"` + marker + `":"\u0000"}}`,
}

// spoiledValues are those of a FIELD.
var spoiledValues = []string{
	`1` + strings.Repeat("0", 400), `[["` + marker + `"]]`, `{"a":"` + marker + `"}`,
	`"` + marker + `","FIELD":"` + marker + `"`, `"` + strings.Repeat(marker, 40_000) + `"`,
	`"` + marker + `\u0000"`, `"` + marker + `\ud800"`, `"` + marker + `\udc00x"`, `"` + marker + `\x"`,
	"\"" + marker + "\x00\"", "\"" + marker + "\n\"",
	// No UTF-8, an overlong form, half a character, and a surrogate as CESU-8 has it.
	"\"" + marker + "\xff\xfe\"", "\"" + marker + "\xc0\xaf\"", "\"" + marker + "\xe2\x82\"",
	"\"" + marker + "\xed\xa0\x80\"",
}

func TestSpoiledBodies(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		for _, operation := range operations() {
			if operation.body() == nil {
				continue
			}
			for wrapper, inner := range operation.body().Schema.Value.Properties {
				bodies := slices.Clone(spoiled)
				for field := range inner.Value.Properties {
					for _, value := range spoiledValues {
						value = strings.ReplaceAll(value, "FIELD", field)
						bodies = append(bodies, `{"WRAPPER":{"`+field+`":`+value+`}}`)
					}
				}
				names := strings.NewReplacer("WRAPPER", wrapper, "wrapper", strings.ToUpper(wrapper),
					"ESCAPED", fmt.Sprintf(`\u00%x`, wrapper[0])+wrapper[1:])
				for _, body := range bodies {
					c, status := operation.goodCall(), http.StatusUnprocessableEntity
					c.token, c.body = token, names.Replace(body)
					if len(c.body) > operation.bodyLimit() {
						status = http.StatusRequestEntityTooLarge
					}
					wantRefusal(t, fmt.Sprintf("%s %s: %.80q", c.method, c.path, c.body), s.do(t, c), status)
				}
			}
		}
		if strings.Contains(s.log.String(), marker) {
			t.Error("the log holds what was sent")
		}
	})
}

// wantRefusal holds an answer to the one shape of errors, and sees to it that nothing is echoed.
func wantRefusal(t *testing.T, what string, got answer, status int) {
	t.Helper()
	if got.status != status {
		t.Errorf("%s: status %d, want %d: %.200s", what, got.status, status, got.body)
		return
	}
	var envelope api.ErrorEnvelope
	if err := json.Unmarshal([]byte(got.body), &envelope); err != nil || len(envelope.Errors) == 0 {
		t.Errorf("%s: not the shape of errors: %.200s", what, got.body)
	}
	if strings.Contains(got.body, marker) || strings.Contains(fmt.Sprint(got.header), marker) {
		t.Errorf("%s: the answer holds what was sent: %.200s", what, got.body)
	}
	wantSame(t, what+": Content-Type", "application/json; charset=utf-8", got.header.Get("Content-Type"))
}

// TestHeadersOfBodies: TestWhatTheContractForbids sends more media types to every operation, and TestBodies of the
// contract engine has the words.
func TestHeadersOfBodies(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		for header, values := range map[string]map[string]int{
			"Content-Type": {
				"application/json; charset=utf-8": 200, `Application/JSON;charset="UTF-8"`: 200,
				"application/json/x": 415, "json": 415, ";;;": 415,
			},
			"Content-Encoding": {
				"": 200, "identity": 200, "Identity, identity": 200, "gzip": 415, "identity, br": 415, "x": 415,
			},
		} {
			for value, status := range values {
				t.Run(header+" "+value, func(t *testing.T) {
					got := s.do(t, login("jake@test.com", password).with(header, value)).want(t, status, "")
					if header == "Content-Encoding" && status == 415 {
						wantSame(t, "Accept-Encoding", "identity", got.header.Get("Accept-Encoding"))
					}
				})
			}
		}
	})
}

// TestWhatNetHTTPRefuses: it never reaches a handler, and has the shape of all errors all the same.
func TestWhatNetHTTPRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for why, refused := range map[string]struct {
			request string
			status  int
		}{
			"a raw % in a path":       {"GET /api/profiles/100% HTTP/1.1\r\nHost: x\r\n\r\n", 400},
			"no HTTP":                 {"hello\r\n\r\n", 400},
			"two Host headers":        {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
			"no Host header":          {"GET / HTTP/1.1\r\n\r\n", 400},
			"a header with a blank":   {"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400},
			"a version to come":       {"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505},
			"another transfer coding": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
			"headers without end":     {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat(marker, 200_000), 431},
		} {
			t.Run(why, func(t *testing.T) {
				got := s.raw(t, refused.request)
				wantRefusal(t, why, got, refused.status)
				wantSame(t, "pages may read it", "*", got.header.Get("Access-Control-Allow-Origin"))
			})
		}
	})
}

// TestLargeBodies: TestBodyLimits has the limits of all operations.
func TestLargeBodies(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		padded := login("jake@test.com", password)
		padded.body += strings.Repeat(" ", 16<<10-len(padded.body))
		s.do(t, padded).want(t, 200, "")
		// Without a length in advance the reader has to notice.
		s.raw(t, "POST /api/users/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n200000\r\n"+strings.Repeat("x", 0x200000)+"\r\n0\r\n\r\n").
			wantError(t, 413, "body", "is too large (maximum is 16384 bytes)")
	})
}

// dial opens a connection to the server.
func (s *server) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// raw sends bytes as they are and reads one answer.
func (s *server) raw(t *testing.T, request string) answer {
	t.Helper()
	conn := s.dial(t)
	defer func() { _ = conn.Close() }()
	go func() { _, _ = conn.Write([]byte(request)) }() // the server may answer before it has read everything
	return next(t, bufio.NewReader(conn))
}

// next reads the answer that comes next on a connection.
func next(t *testing.T, connection *bufio.Reader) answer {
	t.Helper()
	response, err := http.ReadResponse(connection, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got, err := answered(response)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestUnknownRoutes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, path := range []string{
			"/api", "/api/", "/api/nothing", "/api/nothing/", "/api/user%2F/", "/healthz/", "//api/user", "/api/user//",
			"/api//user", "/api/./user", "/api/x/../user", "http://x", "foo:bar", "/API/user", "/api/user%2F",
			"/api/user%00", "/api/%ff", "/.env", "/api/profiles/", "/api/user;x", "/%2e%2e/api/user",
			"/api/user/%2e%2e/user",
		} {
			t.Run(path, func(t *testing.T) {
				s.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n").wantError(t, 404, "route", "not found")
			})
		}
	})
}

// TestSlashAtTheEnd: RealWorld's Angular front end publishes to /articles/.
func TestSlashAtTheEnd(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		published := publishing(token, "Slashed")
		published.path += "/"
		s.do(t, published).want(t, 201, "")
		for _, path := range []string{"/api/articles/slashed/", "/api/articles/feed/?limit=1", "/api/user/sessions/"} {
			s.do(t, get(path, token)).want(t, 200, "")
		}
		s.refuses(t, "part of the slug", get("/api/articles/slashed%2F", token), 404, "article", "not found")
		// What is left when the parameter behind it is empty leads nowhere: not to all of them.
		s.refuses(t, "no session", del("/api/user/sessions/", token), 404, "route", "not found")
		s.refuses(t, "no article to delete", del("/api/articles/", token), 405, "method", "not allowed")
		s.refuses(t, "no article to change", put("/api/articles/", token, "{}"), 405, "method", "not allowed")
		s.refuses(t, "no article to change in part", call{method: "PATCH", path: "/api/articles/", body: "{}"}, 405,
			"method", "not allowed")
		s.refuses(t, "a method that no path has", call{method: "PATCH", path: "/api/tags", token: token}, 405, "method",
			"not allowed")
		s.do(t, get("/api/articles/", token)).wantSlugs(t, 1, "slashed") // reading lists them
		s.do(t, call{method: "HEAD", path: "/api/articles/", token: token}).want(t, 200, "")
	})
}

// TestMethods: TestWhatTheContractForbids sends those of no operation to every path of the contract.
func TestMethods(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		for path, allow := range map[string]string{
			"/api/user": "DELETE, GET, HEAD, PUT, OPTIONS", "/api/users": "POST, OPTIONS",
			"/api/users/login": "POST, OPTIONS", "/api/users/logout": "POST, OPTIONS",
			"/.well-known/jwks.json": "GET, HEAD, OPTIONS", "/healthz": "GET, HEAD, OPTIONS",
		} {
			t.Run(path, func(t *testing.T) {
				for _, method := range []string{"PATCH", "TRACE", "BREW"} {
					got := s.do(t, call{method: method, path: path})
					got.wantError(t, 405, "method", "not allowed")
					wantSame(t, method+": Allow", allow, got.header.Get("Allow"))
				}
				options := s.do(t, call{method: "OPTIONS", path: path}).want(t, 204, "")
				wantSame(t, "OPTIONS: Allow", allow, options.header.Get("Allow"))
			})
		}
		head, got := s.do(t, call{method: "HEAD", path: "/api/user", token: token}), s.do(t, get("/api/user", token))
		wantSame(t, "the body for HEAD", "", head.want(t, 200, "").body)
		wantSame(t, "its length", got.header.Get("Content-Length"), head.header.Get("Content-Length"))
	})
}
