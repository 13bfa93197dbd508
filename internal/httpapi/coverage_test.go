package httpapi_test

import (
	"bytes"
	"cmp"
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

	openapi "conduit"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// answers are the pairs of operation and status that the tests of this package have seen, and the refusals with their
// bodies.
var answers = struct {
	sync.Mutex
	seen map[string]bool
}{seen: map[string]bool{}}

func noteAnswer(operationID string, status int, body []byte) {
	answers.Lock()
	defer answers.Unlock()
	pair := fmt.Sprint(operationID, " ", status)
	answers.seen[pair] = true
	if status >= http.StatusBadRequest {
		answers.seen[pair+" "+string(bytes.TrimSpace(body))] = true
	}
}

// TestMain compares, after a full run, the answers that were seen with those the contract has. That no other one leaves
// the server is seen by the response check, at once. TestExamples looks at the examples of what is no refusal.
func TestMain(m *testing.M) {
	code := storetest.Main(m)
	partly := func(name string) bool { return flag.Lookup(name).Value.String() != "" }
	if code == 0 && !slices.ContainsFunc([]string{"test.run", "test.fuzz", "test.list"}, partly) {
		for _, pair := range documented() {
			if !answers.seen[pair] {
				fmt.Println("openapi.yaml documents an answer that no test in internal/httpapi has seen:", pair,
					"- add one to the noun's _test.go, or take the status out of openapi.yaml")
				code = 1
			}
		}
		for _, refusal := range unseenRefusals() {
			fmt.Println("openapi.yaml has an example that is none of the refusals which a test has seen:", refusal,
				"- have a test in internal/httpapi see it, or take the example out of openapi.yaml")
			code = 1
		}
	}
	os.Exit(code)
}

// theContract is openapi.yaml as it is committed, apart from the server under test.
var theContract = sync.OnceValue(func() *openapi3.T {
	document, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		panic(err)
	}
	return document
})

// TestEveryOperationSaysWhetherItWantsAToken: clients leave the token out where an operation does not mention it.
func TestEveryOperationSaysWhetherItWantsAToken(t *testing.T) {
	t.Parallel()
	for _, operation := range operations() {
		if id := operation.OperationID; operation.Security == nil {
			t.Errorf("openapi.yaml:%d: give %s a member security, which is [] if no token is wanted", lineOf(id), id)
		}
	}
}

// documentedOperation is an operation of the contract with where it is and all its parameters.
type documentedOperation struct {
	*openapi3.Operation
	method, path string
	parameters   openapi3.Parameters
}

// body is what the contract says of its body; nil if it takes no JSON.
func (o documentedOperation) body() *openapi3.MediaType { return o.bodyAs("application/json") }

// form is what the contract says of its form; nil if it takes none.
func (o documentedOperation) form() *openapi3.MediaType { return o.bodyAs(formMedia) }

const formMedia = "application/x-www-form-urlencoded"

func (o documentedOperation) bodyAs(kind string) *openapi3.MediaType {
	if o.RequestBody == nil {
		return nil
	}
	return o.RequestBody.Value.Content[kind]
}

// forServers reports whether resource servers call it, and no people.
func (o documentedOperation) forServers() bool {
	return slices.ContainsFunc(*o.Security, func(scheme openapi3.SecurityRequirement) bool {
		return scheme["clientAuth"] != nil
	})
}

// invalid is the status of what is wrong with what was sent.
func (o documentedOperation) invalid() int {
	if o.Responses.Status(http.StatusUnprocessableEntity) == nil {
		return http.StatusBadRequest
	}
	return http.StatusUnprocessableEntity
}

// operations are those of the contract.
func operations() (all []documentedOperation) {
	for path, item := range theContract().Paths.Map() {
		for method, operation := range item.Operations() {
			all = append(all, documentedOperation{
				operation, method, path, slices.Concat(item.Parameters, operation.Parameters),
			})
		}
	}
	return all
}

// documented lists the pairs of operation and status in the contract.
func documented() (pairs []string) {
	for _, operation := range operations() {
		for status := range operation.Responses.Map() {
			pairs = append(pairs, operation.OperationID+" "+status)
		}
	}
	slices.Sort(pairs)
	return pairs
}

// unseenRefusals are the examples of refusals that no operation answered, and the operations and statuses of which no
// example was answered.
func unseenRefusals() (unseen []string) {
	seen := map[string]bool{}
	for _, operation := range operations() {
		for status, response := range operation.Responses.Map() {
			if status < "400" {
				continue
			}
			pair := operation.OperationID + " " + status
			for _, example := range examples(response.Value) {
				body := asJSON(example)
				for _, of := range []string{pair, status + " " + body} {
					seen[of] = seen[of] || answers.seen[pair+" "+body]
				}
			}
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(seen)), func(of string) bool { return seen[of] })
}

// examples are the bodies that the contract shows of an answer, by name; one alone has none.
func examples(response *openapi3.Response) map[string]any {
	shown := map[string]any{}
	for _, media := range response.Content {
		if media.Example != nil {
			shown[""] = media.Example
		}
		for name, example := range media.Examples {
			shown[name] = example.Value.Value
		}
	}
	return shown
}

// goodCalls has the contract's own example of each operation that uses the database, with jake's tokens and those of a
// resource server. What authenticators sign is for this server, and another session of his asks for it: none is
// remembered of the token's.
func (s *server) goodCalls(t *testing.T, token, refreshToken, server string) (calls []call) {
	phone, other := newAuthenticator(), s.loggedIn(t, "jake")
	s.addPasskey(t, other, "", phone)
	for _, operation := range operations() {
		c := operation.callBy(token, server)
		switch operation.OperationID {
		case "introspectToken", "revokeToken":
			c = formCall(c.path, server, "token", token)
		case "refreshSession":
			c = sessionCall(c.path, "refreshToken", refreshToken)
		case "createPasskey":
			c = addingPasskey(other, "", newAuthenticator().create(s.creationOptions(t, other)))
		case "createPasskeySession":
			c = passkeyLogin(phone.get(s.requestOptions(t)))
		case "createPasskeyProofChallenge":
			c.token = other
		case "createPasskeyProof":
			c = provingBy(other, phone.get(s.proofOptions(t, other)))
		}
		if operation.Responses.Value("503") != nil {
			calls = append(calls, c)
		}
	}
	return calls
}

// everyOperation makes every call that needs the database once something has happened to it.
func everyOperation(t *testing.T, s *server, happens func(), status int, message string) {
	t.Helper()
	calls := s.goodCalls(t, s.register(t, "jake"), s.refreshToken(t), s.newClient(t))
	happens()
	for _, c := range calls {
		if strings.HasPrefix(c.path, "/api/status-lists/") {
			c.path = s.listPath()
		}
		s.refuses(t, c.method+" "+c.path, c.with("X-Request-Id", "find-me"), status, "server", message)
	}
}

// TestEveryOperationWithoutDatabase: 503 for all that needs it, in the contract's words.
func TestEveryOperationWithoutDatabase(t *testing.T) {
	t.Parallel()
	url, proxy := storetest.NewProxy(t, storetest.Postgres(t))
	s := newServer(t, url, store.Options{})
	everyOperation(t, s, proxy.Stop, 503, "is not available")
	s.do(t, get("/.well-known/jwks.json", "")).want(t, 200, "") // public keys need none
}

// TestEveryOperationOnABrokenSchema: 500 without detail where the fault is ours. The log has the detail.
func TestEveryOperationOnABrokenSchema(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := newServer(t, url, store.Options{})
	everyOperation(t, s, func() {
		execute(t, url, `alter table users rename to lost; alter table tags rename to lost_tags;
			alter table sessions rename column user_agent to lost; alter table ended_statuses rename to lost_statuses;
			alter table passkey_handles rename to lost_handles;
			alter table mails rename to lost_mails; alter table codes rename to lost_codes`)
	}, 500, "internal error")
	for _, words := range []string{"find-me", `relation \"users\" does not exist`} {
		if log := s.log.String(); !strings.Contains(log, words) {
			t.Errorf("the log does not have %q: %s", words, log)
		}
	}
}

// TestColumnsOfALaterVersion: while servers are replaced one by one, the database has columns that this version does
// not know. No operation fails by that, nor does what goes on beside requests.
func TestColumnsOfALaterVersion(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := newServer(t, url, store.Options{})
	jake := s.register(t, "jake")
	if _, err := s.Accounts.Update(t.Context(), operator, 1,
		identity.AccountChanges{Role: new(identity.RoleAdmin)}); err != nil {
		t.Fatal(err)
	}
	calls := s.goodCalls(t, jake, s.refreshToken(t), s.newClient(t))
	execute(t, url, `do $$ declare one text; begin
		for one in select tablename from pg_tables where schemaname = current_schema() loop
			execute format('alter table %I add column later text', one);
		end loop; end $$`)
	slices.SortStableFunc(calls, func(a, b call) int { // whatever may end the session comes last
		ends := func(c call) int {
			if c.method == "GET" {
				return 0
			}
			return 1 + strings.Count(c.path, "/api/user") + strings.Count(c.path, "/api/admin/")
		}
		return cmp.Compare(ends(a), ends(b))
	})
	for _, c := range calls {
		if got := s.do(t, c); got.status >= 500 {
			t.Errorf("%s %s: %d %s", c.method, c.path, got.status, got.body)
		}
	}
	s.sends(t)
	s.upkeep(t).Sweep(t.Context())
}

// TestEveryOperationRefusesBrokenFraming of its body. What else the contract forbids, negative_test.go derives from it.
func TestEveryOperationRefusesBrokenFraming(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, c := range s.goodCalls(t, s.register(t, "jake"), "x", s.newClient(t)) {
			if c.body != "" {
				s.raw(t, c.method+" "+c.path+" HTTP/1.1\r\nHost: x\r\n"+c.headersOf()+
					"Transfer-Encoding: chunked\r\n\r\nzz\r\n").wantError(t, 400, "body", "could not be read")
			}
		}
	})
}

// TestWellKnownPathsReadTheirQuery at the root, too: one that cannot be decoded is refused, also where no parameter
// would be taken from it.
func TestWellKnownPathsReadTheirQuery(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, path := range []string{"/.well-known/jwks.json", "/.well-known/oauth-authorization-server"} {
			s.refuses(t, path, get(path+"?limit=%zz", ""), 422, "query", "is not valid")
		}
	})
}
