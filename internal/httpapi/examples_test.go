package httpapi_test

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	contract "conduit"
	"conduit/api"
	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/mail/mailtest"
)

// unknowable are the members whose text no example can foretell: tokens, the ids of sessions, keys, and codes. All else
// is compared, timestamps too, for the clock shows the times of the examples.
var unknowable = []string{
	"token", "accessToken", "refreshToken", "id", "sid", "jti", "kid", "x", "requestId", "secret", "url", "qrCode",
	"recoveryCodes", "challenge", "credentialId",
}

// TestExamples plays the story that the examples of openapi.yaml tell: each request is the contract's own, and its
// answer has to be what the contract shows. Jake writes, on a laptop and a phone; jane reads, and has a tablet; a thief
// has a token; ada is an admin.
func TestExamples(t *testing.T) { story(t, false) }

// TestExamplesWithKeys: what changes something comes with a key, and twice. The second answer is the first, to the
// byte, and nothing in the story shows that there was a second request.
func TestExamplesWithKeys(t *testing.T) { story(t, true) }

func story(t *testing.T, keyed bool) {
	each(t, func(t *testing.T, s *server) {
		s = newServerOn(t, s.Store, func(o *app.Options) {
			o.Issuer, o.Audience = "https://conduit.example.com", "conduit"
		})
		p := &play{server: s, found: map[string]string{}, keyed: keyed}
		laptop, phone := p.player("192.0.2.7", "Mozilla/5.0"), p.player("192.0.2.7", "Conduit/1.0")
		jane, thief := p.player("203.0.113.5", "Mozilla/5.0"), p.player("198.51.100.3", "curl/8.5.0")
		tablet := p.player("203.0.113.5", "Conduit/1.0")
		ada, joe := p.player("192.0.2.80", "Mozilla/5.0"), p.player("203.0.113.9", "Mozilla/5.0")

		laptop.plays(t, "createUser")
		ada.registers(t, "ada")
		if _, err := s.Accounts.Update(t.Context(), operator, 2,
			identity.AccountChanges{Role: new(identity.RoleAdmin)}); err != nil {
			t.Fatal(err)
		}
		ada.plays(t, "getSigningKeys", "getAuditEvents", "getAccounts", "getAccount")
		ada.plays(t, "getAllSessions", "getAccountSessions", "deleteAccountSession", "deleteAccountSessions")
		laptop.plays(t, "login", "createArticle", "exportCurrentUser")

		jane.token = s.register(t, "jane")
		tablet.token = jane.token
		tablet.plays(t, "createPasskeyChallenge", "createPasskey")
		tablet.plays(t, "createPasskeyProofChallenge", "createPasskeyProof")
		tablet.plays(t, "createPasskeyLoginChallenge", "createPasskeySession")
		tablet.plays(t, "updatePasskey", "getPasskeys", "deletePasskey")

		phone.plays(t, "createSession")
		laptop.plays(t, "deleteSession")
		phone.plays(t, "createSession")
		service := p.player("203.0.113.9", "")
		service.headers["Authorization"] = s.newClient(t)
		service.plays(t, "introspectToken", "revokeToken")
		s.do(t, phone.request("getCurrentUser")).wantError(t, http.StatusUnauthorized, "token", "is invalid")
		phone.plays(t, "createSession")
		jane.plays(t, "getTags", "getArticle", "createArticleFavorite", "getArticles", "deleteArticleFavorite")
		laptop.plays(t, "streamUserEvents")
		told := s.listen(t, laptop.token)
		jane.plays(t, "createArticleComment", "getArticleComments")
		told.wantExample(t)
		jane.plays(t, "deleteArticleComment")

		s.clock.Advance(15 * time.Minute)
		phone.plays(t, "refreshSession")
		s.do(t, phone.request("getArticles")).want(t, http.StatusOK, "") // uses the successor
		s.clock.Advance(time.Minute)
		s.do(t, thief.request("refreshSession")).wantError(t, http.StatusUnauthorized, "refreshToken", "is invalid")

		s.clock.Advance(10 * time.Minute)
		laptop.plays(t, "updateArticle", "updateCurrentUser", "getCurrentUser")
		jane.plays(t, "getProfileByUsername", "followUserByUsername", "getArticlesFeed", "unfollowUserByUsername")
		jane.plays(t, "logout")

		s.clock.Advance(20 * time.Minute)
		laptop.plays(t, "deleteOtherSessions")
		if err := s.Sessions.WriteDownSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
		laptop.plays(t, "getSessions", "deleteArticle")
		thief.plays(t, "getJwks", "getServerMetadata", "getStatusList")

		laptop.plays(t, "enrolTotp")
		shows := func(code string) { // the app of the secret does, in place of the example's code
			p.found[code] = appCode(t, p.found["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"], s.clock.Now())
		}
		s.clock.Advance(time.Minute)
		shows("730164")
		laptop.plays(t, "confirmTotp", "getFactors")
		s.clock.Advance(30 * time.Second)
		shows("952038")
		laptop.plays(t, "createRecoveryCodes")
		s.clock.Advance(time.Minute)
		phone.compare(t, operationCalled("createSession"), phone.request("createSession"), http.StatusAccepted)
		shows("205719")
		phone.plays(t, "answerChallenge")
		s.clock.Advance(30 * time.Second)
		shows("418273")
		laptop.plays(t, "createProof", "removeTotp")

		for _, from := range []string{"requestEmailVerification", "requestPasswordReset"} {
			s.clock.Advance(time.Second)
			laptop.plays(t, from)
			if from == "requestPasswordReset" {
				s.fails(t)
				ada.plays(t, "getMails", "retryMail")
			}
			to := map[string]string{
				"requestEmailVerification": "confirmEmail", "requestPasswordReset": "resetPassword",
			}[from]
			p.found[fmt.Sprint(operationCalled(to).parameters[0].Value.Example)] = s.sentCode(t)
			laptop.plays(t, to)
		}
		ada.plays(t, "updateAccount", "deleteAccount", "rotateSigningKeys", "revokeSigningKey")
		joe.registers(t, "joe")
		joe.plays(t, "deleteCurrentUser")

		for _, operation := range operations() {
			if id := operation.OperationID; !slices.Contains(p.played, id) {
				t.Errorf("openapi.yaml:%d: nobody plays %s: give it a place in TestExamples, above", lineOf(id), id)
			}
		}
	})
}

// play is a server on which one example comes true after another.
type play struct {
	*server
	keyed  bool
	found  map[string]string // what the server has for the unknowable texts of the examples
	played []string
}

// player is somebody on a device, with the token that came last.
type player struct {
	*play
	headers       map[string]string
	token         string
	authenticator *authenticator // part of the device
	options       answer         // what it was asked last
}

func (p *play) player(ipAddress, userAgent string) *player {
	return &player{
		play: p, headers: map[string]string{"X-Forwarded-For": ipAddress, "User-Agent": userAgent},
		authenticator: newAuthenticator(),
	}
}

// registers makes an account of this name for the player.
func (p *player) registers(t *testing.T, name string) {
	t.Helper()
	c := registration(name, name+"@example.com", "jakes secret")
	c.headers = p.headers
	p.token = p.do(t, c).want(t, http.StatusCreated, "").token(t)
}

// request is the contract's example of one, sent by this player.
func (p *player) request(operationID string) call {
	c := operationCalled(operationID).goodCall()
	c.path, c.body, c.token = p.asFound(c.path), p.asFound(c.body), p.token
	for name, value := range p.headers {
		c = c.with(name, value)
	}
	return c
}

// signs puts what the device's authenticator answers in place of the example of it, which nobody has signed.
func (p *player) signs(t *testing.T, operationID string, c call) call {
	t.Helper()
	switch operationID {
	case "createPasskey":
		name, _ := answer{body: c.body}.at(t, "passkey", "name").(string)
		c.body = addingPasskey("", name, p.authenticator.create(
			into[api.CreationOptionsEnvelope](t, p.options).PublicKey)).body
	case "createPasskeySession":
		c.body = passkeyLogin(p.authenticator.get(into[api.RequestOptionsEnvelope](t, p.options).PublicKey)).body
	case "createPasskeyProof":
		c.body = provingBy("", p.authenticator.get(into[api.RequestOptionsEnvelope](t, p.options).PublicKey)).body
	}
	return c
}

// plays sends the requests of these operations, and holds the answers to the examples.
func (p *player) plays(t *testing.T, operationIDs ...string) {
	t.Helper()
	for _, id := range operationIDs {
		p.played = append(p.played, id)
		t.Run(id, func(t *testing.T) {
			operation, request := operationCalled(id), p.signs(t, id, p.request(id))
			p.compare(t, operation, request, good...)
			for _, parameter := range operation.parameters {
				// Each of the query finds the same alone, but for a cursor, which leads to another page. Those of lists
				// for admins find some of it.
				in, name := parameter.Value.In, parameter.Value.Name
				if in != "query" || name == "cursor" {
					continue
				}
				narrowed := request
				narrowed.path += "?" + name + "=" + url.QueryEscape(fmt.Sprint(parameter.Value.Example))
				if slices.Contains(operation.Tags, "Admin") && name != "limit" {
					p.findsSome(t, operation, narrowed)
				} else {
					p.compare(t, operation, narrowed, good...)
				}
			}
		})
	}
}

// shown is an answer as far as the contract shows it.
type shown struct {
	Status  int
	Headers map[string]string
	Body    any
}

// good are the statuses that say that all is well and done.
var good = []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}

// compare sends the request, and holds what comes to the operation's example of the first of these statuses.
func (p *player) compare(t *testing.T, operation documentedOperation, request call, statuses ...int) {
	t.Helper()
	if p.keyed && request.method != "GET" {
		request = request.with("Idempotency-Key", rand.Text())
	}
	response, answer := p.do(t, request), shown{Headers: map[string]string{}}
	if p.keyed && request.method != "GET" && operation.Extensions["x-idempotency-key"] == nil {
		wantReplay(t, response, p.do(t, request))
	}
	p.options = response
	example := operation.example(statuses)
	answer.Status = response.status
	if text, plain := example.Body.(string); plain {
		p.found[text], answer.Body = response.body, response.body
	} else if response.body != "" {
		answer.Body = decoded(t, response.body)
	}
	for name := range example.Headers {
		answer.Headers[name] = response.header.Get(name)
	}
	p.learn(example.Body, answer.Body, "")
	want := p.inFound(decoded(t, asJSON(example)))
	if diff := cmp.Diff(want, decoded(t, asJSON(answer))); diff != "" {
		t.Errorf("openapi.yaml:%d: what %s %s answers is not its example (-example +answer):\n%s",
			lineOf(operation.OperationID), request.method, request.path, diff)
	}
}

// findsSome sends the request, and wants a part of what the example of the operation's success lists.
func (p *player) findsSome(t *testing.T, operation documentedOperation, request call) {
	t.Helper()
	answer := decoded(t, p.do(t, request).want(t, http.StatusOK, "").body).(map[string]any)
	example := decoded(t, p.asFound(asJSON(operation.example(good).Body))).(map[string]any)
	for name, value := range answer {
		found, _ := value.([]any)
		listed, _ := example[name].([]any)
		for _, one := range found {
			if !slices.ContainsFunc(listed, func(other any) bool { return cmp.Equal(one, other) }) {
				t.Errorf("%s: %s is not in the example", request.path, asJSON(one))
			}
		}
		if listed != nil && len(found) == 0 {
			t.Errorf("%s finds nothing", request.path)
		}
	}
}

// example is the contract's example of what the operation answers with the first of these statuses that it has.
func (o documentedOperation) example(statuses []int) shown {
	for _, status := range statuses {
		response := o.Responses.Status(status)
		if response == nil {
			continue
		}
		example := shown{Status: status, Headers: map[string]string{}}
		for name, header := range response.Value.Headers {
			if header.Value.Required { // the others depend on the installation
				example.Headers[name] = fmt.Sprint(header.Value.Example)
			}
		}
		for _, body := range examples(response.Value) {
			example.Body = body
		}
		return example
	}
	panic(o.OperationID + " has no answer if all is well")
}

// learn keeps what stands in the answer where the example has an unknowable text.
func (p *player) learn(example, answer any, member string) {
	switch example := example.(type) {
	case map[string]any:
		object, _ := answer.(map[string]any)
		for name, value := range example {
			p.learn(value, object[name], name)
		}
	case []any:
		list, _ := answer.([]any)
		for i := range min(len(example), len(list)) {
			p.learn(example[i], list[i], member)
		}
	case string:
		text, _ := answer.(string)
		if text == "" || !slices.Contains(unknowable, member) {
			return
		}
		if p.found[example] = text; member == "token" || member == "accessToken" {
			p.token = text
		}
	}
}

// asFound is a text of the contract, with what the server has for what is unknowable.
func (p *play) asFound(text string) string {
	// tokens hold ids
	examples := slices.SortedFunc(maps.Keys(p.found), func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, example := range examples {
		pairs = append(pairs, example, p.found[example])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// inFound is asFound for all texts in a value.
func (p *play) inFound(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			value[name] = p.inFound(member)
		}
	case []any:
		for i, member := range value {
			value[i] = p.inFound(member)
		}
	case string:
		return p.asFound(value)
	}
	return value
}

func operationCalled(id string) documentedOperation {
	all := operations()
	return all[slices.IndexFunc(all, func(o documentedOperation) bool { return o.OperationID == id })]
}

// lineOf is where openapi.yaml has the operation.
func lineOf(operationID string) int {
	before, _, _ := strings.Cut(string(contract.Document), "operationId: "+operationID+"\n")
	return strings.Count(before, "\n") + 1
}

// fails has another instance send what is due, to a mail server that refuses it for good.
func (s *server) fails(t *testing.T) {
	t.Helper()
	post := mailtest.New(t, mailtest.Options{})
	post.Decide(func(string) error {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}, nil)
	newServerOn(t, s.Store, func(o *app.Options) {
		o.Mail.URL, o.Mail.From, o.Now = post.URL(), "Conduit <no-reply@conduit.example>", s.clock.Now
	}).sends(t)
}
