package httpapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// marker stands in every bad input where a password could; no answer and no log line may hold it.
const marker = "s3cr3t-mark3r"

// spoiledBodies returns bodies that must be refused, by what is wrong with them.
func spoiledBodies(wrapper string, fields []string) map[string]string {
	escaped := fmt.Sprintf(`\u00%x`, wrapper[0]) + wrapper[1:]
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	spoiled := map[string]string{
		"empty":                           " ",
		"no JSON":                         marker,
		"cut short":                       `{"` + wrapper + `":{"password":"` + marker,
		"cut in a number":                 `{"` + wrapper + `":-`,
		"null":                            `null`,
		"true":                            `true`,
		"a number":                        `1e400`,
		"a string":                        `"` + marker + `"`,
		"an array":                        `[["` + marker + `"]]`,
		"wrapper null":                    `{"` + wrapper + `":null}`,
		"wrapper a string":                `{"` + wrapper + `":"` + marker + `"}`,
		"wrapper in other case":           `{"` + strings.ToUpper(wrapper) + `":{}}`,
		"wrapper twice":                   `{"` + wrapper + `":{},"` + wrapper + `":{}}`,
		"wrapper twice, escaped":          `{"` + wrapper + `":{},"` + escaped + `":{}}`,
		"text behind the end":             `{"` + wrapper + `":{}} ` + marker,
		"another value behind":            `{"` + wrapper + `":{}}{}`,
		"NUL behind the end":              `{"` + wrapper + `":{}}` + "\x00",
		"two byte order marks":            "\ufeff\ufeff" + `{"` + wrapper + `":{}}`,
		"single quotes":                   `{'` + wrapper + `':{}}`,
		"a comment":                       `{/* */"` + wrapper + `":{}}`,
		"a comma too many":                `{"` + wrapper + `":{},}`,
		"NaN":                             `{"` + wrapper + `":NaN}`,
		"nested arrays":                   strings.Repeat("[", 8_000) + strings.Repeat("]", 8_000),
		"nested objects":                  strings.Repeat(`{"`+wrapper+`":`, 1_000) + "1" + strings.Repeat("}", 1_000),
		"nested behind a field":           `{"` + wrapper + `":{"x":` + deep + `}}`,
		"invalid UTF-8 in a name":         "{\"" + wrapper + "\":{\"\xff\":1}}",
		"NUL in a member of another name": `{"` + wrapper + `":{"` + marker + `":"\u0000"}}`,
		"UTF-16":                          "\xff\xfe{\x00}\x00",
	}
	values := map[string]string{
		"a number":        `12345678`,
		"a huge number":   `1` + strings.Repeat("0", 400),
		"true":            `true`,
		"an array":        `[["` + marker + `"]]`,
		"an object":       `{"a":"` + marker + `"}`,
		"NUL":             `"` + marker + `\u0000"`,
		"raw NUL":         "\"" + marker + "\x00\"",
		"invalid UTF-8":   "\"" + marker + "\xff\xfe\"",
		"overlong UTF-8":  "\"" + marker + "\xc0\xaf\"",
		"a UTF-8 half":    "\"" + marker + "\xe2\x82\"",
		"CESU-8":          "\"" + marker + "\xed\xa0\x80\"",
		"lone surrogate":  `"` + marker + `\ud800"`,
		"low surrogate":   `"` + marker + `\udc00x"`,
		"a bad escape":    `"` + marker + `\x"`,
		"a raw newline":   "\"" + marker + "\n\"",
		"far too long":    `"` + strings.Repeat(marker, 40_000) + `"`,
		"the field twice": `"` + marker + `","FIELD":"` + marker + `"`,
	}
	for _, field := range fields {
		for name, value := range values {
			value = strings.ReplaceAll(value, "FIELD", field)
			spoiled[field+" "+name] = `{"` + wrapper + `":{"` + field + `":` + value + `}}`
		}
	}
	return spoiled
}

func TestSpoiledBodies(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		count := 0
		for _, operation := range operations() {
			if operation.body() == nil {
				continue
			}
			for wrapper, inner := range operation.body().Schema.Value.Properties {
				for name, body := range spoiledBodies(wrapper, slices.Collect(maps.Keys(inner.Value.Properties))) {
					c := operation.goodCall()
					c.token, c.body = token, body
					status := http.StatusUnprocessableEntity
					if len(body) > operation.bodyLimit() {
						status = http.StatusRequestEntityTooLarge
					}
					wantRefusal(t, fmt.Sprintf("%s %s: %s", c.method, c.path, name), s.do(t, c), status)
					count++
				}
			}
		}
		if strings.Contains(s.log.String(), marker) {
			t.Error("the log holds what was sent")
		}
		t.Logf("%d spoiled bodies", count)
	})
}

// wantRefusal holds an answer to the one shape of errors, and sees to it that nothing is echoed.
func wantRefusal(t *testing.T, what string, got answer, status int) {
	t.Helper()
	if got.status != status {
		t.Errorf("%s: status %d, want %d: %.200s", what, got.status, status, got.body)
		return
	}
	var envelope struct {
		Errors map[string][]string `json:"errors"`
	}
	if err := json.Unmarshal([]byte(got.body), &envelope); err != nil || len(envelope.Errors) == 0 {
		t.Errorf("%s: not the shape of errors: %.200s", what, got.body)
	}
	if strings.Contains(got.body, marker) || strings.Contains(fmt.Sprint(got.header), marker) {
		t.Errorf("%s: the answer holds what was sent: %.200s", what, got.body)
	}
	wantSame(t, what+": Content-Type", "application/json; charset=utf-8", got.header.Get("Content-Type"))
}

func TestMediaTypes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		good := login("jake@test.com", password)
		for kind, status := range map[string]int{
			"application/json":                   200,
			"application/json; charset=utf-8":    200,
			"Application/JSON;charset=\"UTF-8\"": 200,
			"":                                   415,
			"text/plain":                         415,
			"application/x-www-form-urlencoded":  415,
			"multipart/form-data; boundary=x":    415,
			"application/jsonp":                  415,
			"application/json/x":                 415,
			"json":                               415,
			";;;":                                415,
		} {
			good.headers = map[string]string{"Content-Type": kind}
			got := s.do(t, good)
			if got.status != status {
				t.Errorf("Content-Type %q: %d, want %d", kind, got.status, status)
			}
			if status == 415 {
				wantRefusal(t, kind, got, 415)
			}
		}
	})
}

func TestContentCodings(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		good := login("jake@test.com", password)
		for coding, taken := range map[string]bool{
			"": true, "identity": true, "Identity, identity": true, "gzip": false, "identity, br": false, "x": false,
		} {
			good.headers = map[string]string{"Content-Encoding": coding}
			got := s.do(t, good)
			if taken {
				got.want(t, 200, "")
				continue
			}
			got.wantError(t, 415, "body", "must be sent without a Content-Encoding")
			if got.header.Get("Accept-Encoding") != "identity" {
				t.Errorf("Content-Encoding %q: the answer does not say which is taken: %v", coding, got.header)
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
			got := s.raw(t, refused.request)
			wantRefusal(t, why, got, refused.status)
			wantSame(t, why+": pages cannot read it", "*", got.header.Get("Access-Control-Allow-Origin"))
		}
	})
}

// chunkedLogin is all of a login but the chunks of its body.
const chunkedLogin = "POST /api/users/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
	"Transfer-Encoding: chunked\r\n\r\n"

func TestLargeBodies(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		padded := func(size int) string {
			body := login("jake@test.com", password).body
			return body + strings.Repeat(" ", size-len(body))
		}
		s.do(t, post("/api/users/login", "", padded(16<<10))).want(t, 200, "")
		for _, size := range []int{16<<10 + 1, 2 << 20, 5 << 20} {
			s.do(t, post("/api/users/login", "", padded(size))).
				wantError(t, 413, "body", "is too large (maximum is 16384 bytes)")
		}
		// Without a length in advance the reader has to notice.
		got := s.raw(t, chunkedLogin+
			"200000\r\n"+strings.Repeat("x", 0x200000)+"\r\n0\r\n\r\n")
		got.wantError(t, 413, "body", "is too large (maximum is 16384 bytes)")
	})
}

func TestBrokenFraming(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.raw(t, chunkedLogin+"zz\r\n").
			wantError(t, 400, "body", "could not be read")
	})
}

// raw sends bytes as they are and reads one answer.
func (s *server) raw(t *testing.T, request string) answer {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	go func() { _, _ = conn.Write([]byte(request)) }() // the server may answer before it has read everything
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var text strings.Builder
	if _, err := bufio.NewReader(response.Body).WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, text.String()}
}

func TestUnknownRoutes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, path := range []string{
			"/api", "/api/", "/api/nothing", "/api/nothing/", "/api/user%2F/", "/healthz/", "//api/user", "/api/user//",
			"/api//user", "/api/./user", "/api/x/../user",
			"http://x", "foo:bar", "/API/user", "/api/user%2F", "/api/user%00", "/api/%ff", "/.env",
			"/api/profiles/", "/api/user;x", "/%2e%2e/api/user", "/api/user/%2e%2e/user",
		} {
			got := s.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if got.wantError(t, 404, "route", "not found"); got.status != 404 {
				t.Error(path)
			}
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
		s.do(t, get("/api/articles/slashed/", token)).want(t, 200, "")
		s.do(t, get("/api/articles/feed/?limit=1", token)).want(t, 200, "")
		s.do(t, get("/api/articles/slashed%2F", token)).wantError(t, 404, "article", "not found") // part of the slug
		s.do(t, call{method: "PATCH", path: "/api/articles/", token: token}).wantError(t, 405, "method", "not allowed")
		// What is left when the parameter behind it is empty leads nowhere: not to all of them.
		s.do(t, del("/api/user/sessions/", token)).wantError(t, 404, "route", "not found")
		s.do(t, del("/api/articles/", token)).wantError(t, 405, "method", "not allowed")
		s.do(t, put("/api/articles/", token, "{}")).wantError(t, 405, "method", "not allowed")
		s.do(t, get("/api/articles/", token)).wantSlugs(t, 1, "slashed") // reading lists them
		s.do(t, call{method: "HEAD", path: "/api/articles/", token: token}).want(t, 200, "")
		s.do(t, get("/api/user/sessions/", token)).want(t, 200, "")
	})
}

func TestMethods(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		for path, allow := range map[string]string{
			"/api/user": "DELETE, GET, HEAD, PUT, OPTIONS", "/api/users": "POST, OPTIONS",
			"/api/users/login": "POST, OPTIONS", "/api/users/logout": "POST, OPTIONS",
			"/.well-known/jwks.json": "GET, HEAD, OPTIONS", "/healthz": "GET, HEAD, OPTIONS",
		} {
			for _, method := range []string{"PATCH", "TRACE", "BREW"} {
				for _, with := range []string{"", token} {
					got := s.do(t, call{method: method, path: path, token: with})
					if got.wantError(t, 405, "method", "not allowed"); got.header.Get("Allow") != allow {
						t.Errorf("%s %s: Allow %q, want %q", method, path, got.header.Get("Allow"), allow)
					}
				}
			}
			options := s.do(t, call{method: "OPTIONS", path: path})
			options.want(t, 204, "")
			wantSame(t, path, allow, options.header.Get("Allow"))
		}
		head := s.do(t, call{method: "HEAD", path: "/api/user", token: token})
		if get := s.do(t, get("/api/user", token)); head.status != 200 || head.body != "" ||
			head.header.Get("Content-Length") != get.header.Get("Content-Length") {
			t.Errorf("HEAD is not like GET: %d %q %v", head.status, head.body, head.header)
		}
	})
}
