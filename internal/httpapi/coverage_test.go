package httpapi_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/jackc/pgx/v5"

	contract "conduit"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// answers are the pairs of operation and status that the tests of this package have seen.
var answers = struct {
	sync.Mutex
	seen map[string]bool
}{seen: map[string]bool{}}

func noteAnswer(operationID string, status int) {
	answers.Lock()
	defer answers.Unlock()
	answers.seen[fmt.Sprint(operationID, " ", status)] = true
}

// TestMain compares, after a full run, the answers that were seen with those the contract has. That no other one leaves
// the server is seen by the response check, at once.
func TestMain(m *testing.M) {
	code := m.Run()
	if full := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" && flag.Lookup("test.list").Value.String() == ""; full && code == 0 {
		for _, pair := range documented() {
			if !answers.seen[pair] {
				fmt.Println("openapi.yaml has an answer that no test has seen:", pair)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// theContract is openapi.yaml as it is committed, apart from the server under test.
var theContract = sync.OnceValue(func() *openapi3.T {
	document, err := openapi3.NewLoader().LoadFromData(contract.Document)
	if err != nil {
		panic(err)
	}
	return document
})

// documentedOperation is an operation of the contract with where it is and all its parameters.
type documentedOperation struct {
	*openapi3.Operation
	method, path string
	parameters   openapi3.Parameters
}

// body is what the contract says of its body; nil if it takes none.
func (o documentedOperation) body() *openapi3.MediaType {
	if o.RequestBody == nil {
		return nil
	}
	return o.RequestBody.Value.Content.Get("application/json")
}

// operations are those of the contract.
func operations() (all []documentedOperation) {
	for path, item := range theContract().Paths.Map() {
		for method, operation := range item.Operations() {
			all = append(all, documentedOperation{operation, method, path, slices.Concat(item.Parameters, operation.Parameters)})
		}
	}
	return all
}

// documented lists the pairs of operation and status in the contract.
func documented() []string {
	pairs := map[string]bool{}
	for _, operation := range operations() {
		for status := range operation.Responses.Map() {
			pairs[operation.OperationID+" "+status] = true
		}
	}
	return slices.Sorted(maps.Keys(pairs))
}

// goodCalls has a request of every operation that uses the database, each of which would succeed for jake's tokens when
// jane, her article "known", its comment 1 and a session "known" are there.
func goodCalls(token, refreshToken string) []call {
	const article = "/api/articles/known"
	return []call{
		registration("new", "new@test.com", password),
		login("jake@test.com", password),
		get("/api/user", token),
		{method: "PUT", path: "/api/user", token: token, body: userJSON("bio", "x")},
		get("/api/profiles/jane", token),
		post("/api/profiles/jane/follow", token),
		del("/api/profiles/jane/follow", token),
		get("/api/articles", token),
		get("/api/articles/feed", token),
		publishing(token, "New"),
		get(article, token),
		{method: "PUT", path: article, token: token, body: articleJSON("body", "x")},
		del(article, token),
		post(article+"/favorite", token),
		del(article+"/favorite", token),
		get(article+"/comments", token),
		{method: "POST", path: article + "/comments", token: token, body: `{"comment":{"body":"x"}}`},
		del(article+"/comments/1", token),
		get("/api/tags", ""),
		sessionCall("/api/sessions", "email", "jake@test.com", "password", password),
		sessionCall("/api/sessions/refresh", "refreshToken", refreshToken),
		get("/api/user/sessions", token),
		{method: "DELETE", path: "/api/user", token: token, body: userJSON("password", password)},
		del("/api/user/sessions/known", token),
		del("/api/user/sessions", token),
		post("/api/users/logout", token),
	}
}

// TestEveryOperationWithoutDatabase: 503 for all that needs it, in the contract's words.
func TestEveryOperationWithoutDatabase(t *testing.T) {
	t.Parallel()
	url, proxy := storetest.NewProxy(t, storetest.Postgres(t))
	s := newServer(t, url, store.Options{})
	token := s.register(t, "jake")
	refreshToken := s.refreshToken(t)
	proxy.Stop()
	for _, c := range goodCalls(token, refreshToken) {
		s.do(t, c).wantError(t, http.StatusServiceUnavailable, "server", "is not available")
	}
	s.do(t, get("/.well-known/jwks.json", "")).want(t, http.StatusOK, "") // public keys need none
}

// TestEveryOperationOnABrokenSchema: 500 without detail where the fault is ours.
func TestEveryOperationOnABrokenSchema(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := newServer(t, url, store.Options{})
	token := s.register(t, "jake")
	refreshToken := s.refreshToken(t)
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(context.Background(), "alter table users rename to lost; alter table tags rename to lost_tags; alter table sessions rename column user_agent to lost"); err != nil {
		t.Fatal(err)
	}
	for _, c := range goodCalls(token, refreshToken) {
		c.headers = map[string]string{"X-Request-Id": "find-me"}
		got := s.do(t, c)
		got.wantError(t, http.StatusInternalServerError, "server", "internal error")
	}
	if log := s.log.String(); !strings.Contains(log, "find-me") || !strings.Contains(log, `relation \"users\" does not exist`) {
		t.Errorf("the log does not tell what happened: %s", log)
	}
}

// TestEveryOperationRefuses what any operation of its kind refuses: no token, odd parameters, odd media types, large
// and broken bodies.
func TestEveryOperationRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		s.publish(t, jane, "Known")
		s.do(t, call{method: "POST", path: "/api/articles/known/comments", token: jane, body: `{"comment":{"body":"x"}}`}).want(t, 201, "")
		for _, c := range goodCalls(jake, "x") {
			odd := c
			odd.path = strings.NewReplacer("known", "kno%00wn", "jane", "ja%ffne").Replace(c.path)
			if strings.Contains(c.path, "/articles") && odd.path == c.path && c.method == "GET" {
				odd.path += "?limit=0"
			}
			if odd.path != c.path {
				wantRefusal(t, odd.method+" "+odd.path, s.do(t, odd), 422)
			}
			if c.body == "" {
				continue
			}
			odd = c
			odd.headers = map[string]string{"Content-Type": "text/plain"}
			wantRefusal(t, c.path, s.do(t, odd), 415)
			odd = c
			odd.body = strings.Repeat(" ", 1<<20+1)
			wantRefusal(t, c.path, s.do(t, odd), 413)
			wantRefusal(t, c.path, s.raw(t, c.method+" "+c.path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+c.token+
				"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 400)
		}
		for _, c := range goodCalls("", "x") {
			if got := s.do(t, c); c.method != "GET" && !strings.HasSuffix(c.path, "/users") && !strings.HasSuffix(c.path, "/login") && !strings.HasPrefix(c.path, "/api/sessions") {
				got.wantError(t, 401, "token", "is missing")
			}
		}
	})
}

// TestEveryOperationReadsItsQuery: one that cannot be decoded is refused, also where no parameter would be taken from
// it.
func TestEveryOperationReadsItsQuery(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		wellKnown := []call{get("/.well-known/jwks.json", ""), get("/.well-known/oauth-authorization-server", "")}
		for _, c := range append(goodCalls(s.register(t, "jake"), "x"), wellKnown...) {
			c.path += "?limit=%zz"
			s.do(t, c).wantError(t, http.StatusUnprocessableEntity, "query", "is not valid")
		}
	})
}
