package contract

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/errs"
)

// Mux is the router under the generated code. It holds every request to the contract before a handler sees it, in this
// order: authentication, parameters, body. What the document says of an operation is looked up once, when the operation
// is mounted, so that a request costs no routing beyond http.ServeMux's own.
type Mux struct {
	Counts // of checked answers

	config    Config
	mux       *http.ServeMux
	methods   []string         // all that any operation has, for 405
	mounted   map[string]bool  // by operationId
	slashless map[string]bool  // patterns that a path with a slash at its end does not reach, see lenient
	anyError  openapi3.Content // the forms that each error may have beside its own
}

// NewMux returns a router without handlers.
func NewMux(config Config) *Mux {
	methods := map[string]bool{}
	m := &Mux{config: config, mux: http.NewServeMux(), mounted: map[string]bool{}, slashless: map[string]bool{}}
	for path, item := range config.Document.Paths.Map() {
		last := strings.LastIndexByte(path, '/')
		for method := range item.Operations() {
			methods[method] = true
			if path[last+1:] != "" && path[last+1] == '{' && method != http.MethodGet {
				m.slashless[method+" "+config.Base+path[:last]] = true
			}
		}
	}
	m.methods = slices.Sorted(maps.Keys(methods))
	if config.Strict != nil {
		m.anyError = anyError(config.Strict)
	}
	m.mux.HandleFunc("/", m.noOperation)
	return m
}

// HandleFunc mounts the handler of "METHOD /base/path". It panics if the contract has no such operation: then the
// generated code and the document differ, and the server must not start.
func (m *Mux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	method, path, _ := strings.Cut(pattern, " ")
	item := m.config.Document.Paths.Value(strings.TrimPrefix(path, m.config.Base))
	if item == nil || item.GetOperation(method) == nil {
		panic(fmt.Sprintf("contract: %s is not in openapi.yaml", pattern))
	}
	operation := newOperation(m, item, item.GetOperation(method), handler)
	m.mounted[operation.id] = true
	m.mux.Handle(pattern, operation)
}

// Mount answers a pattern that is in no contract.
func (m *Mux) Mount(pattern string, handler http.Handler) { m.mux.Handle(pattern, handler) }

// Mounted returns what answers "METHOD /base/path".
func (m *Mux) Mounted(pattern string) http.Handler {
	method, path, _ := strings.Cut(pattern, " ")
	handler, _ := m.mux.Handler(&http.Request{Method: method, URL: &url.URL{Path: path}})
	return handler
}

// Unmounted returns the operations of the contract that no handler answers.
func (m *Mux) Unmounted() []string {
	var ids []string
	for _, item := range m.config.Document.Paths.Map() {
		for _, operation := range item.Operations() {
			if !m.mounted[operation.OperationID] {
				ids = append(ids, operation.OperationID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// Answering returns the operations, by their ids, of which an answer may have a header.
func (m *Mux) Answering(header string) map[string]bool {
	found := map[string]bool{}
	for _, item := range m.config.Document.Paths.Map() {
		for _, operation := range item.Operations() {
			for _, response := range operation.Responses.Map() {
				if response.Value.Headers[header] != nil {
					found[operation.OperationID] = true
				}
			}
		}
	}
	return found
}

// Having returns the operations, by their ids, that have an extension.
func (m *Mux) Having(extension string) map[string]bool {
	found := map[string]bool{}
	for _, item := range m.config.Document.Paths.Map() {
		for _, operation := range item.Operations() {
			if operation.Extensions[extension] != nil {
				found[operation.OperationID] = true
			}
		}
	}
	return found
}

// ServeHTTP implements [http.Handler].
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// http.ServeMux answers these with a redirect in HTML, which loses the body of a POST. They are no paths of ours.
	escaped := r.URL.EscapedPath()
	if !strings.HasPrefix(escaped, "/") || strings.Contains(escaped, "//") || hasDotSegment(escaped) {
		m.config.Host.Fail(w, r, NoRoute)
		return
	}
	meant := m.lenient(r)
	if meant == nil {
		m.config.Host.Fail(w, r, NoRoute)
		return
	}
	m.mux.ServeHTTP(w, meant)
}

// lenient returns the request as it was meant, in two points on which front ends and Go disagree. RealWorld's Angular
// front end publishes to /articles/, and a redirect would lose the body. It does not encode semicolons in a query
// either: they are characters like any other there (URL Standard §5.1), but package url drops a pair that has one.
//
// It returns nil if the operation changes something and the slash may be all that is left of an empty parameter:
// whoever means to end one session must not end them all. Reading is harmless, so GET /articles/ lists.
func (m *Mux) lenient(r *http.Request) *http.Request {
	path, rawPath, query := r.URL.Path, r.URL.RawPath, r.URL.RawQuery
	slash := strings.HasPrefix(path, m.config.Base+"/") && strings.HasSuffix(r.URL.EscapedPath(), "/")
	if slash {
		path, rawPath = strings.TrimSuffix(path, "/"), strings.TrimSuffix(rawPath, "/")
	}
	query = strings.ReplaceAll(query, ";", "%3B")
	if !slash && query == r.URL.RawQuery {
		return r
	}
	meant, target := *r, *r.URL
	target.Path, target.RawPath, target.RawQuery = path, rawPath, query
	meant.URL = &target
	if _, pattern := m.mux.Handler(&meant); slash && m.slashless[pattern] {
		return nil
	}
	return &meant
}

func hasDotSegment(path string) bool {
	if !strings.Contains(path, "/.") {
		return false
	}
	segments := strings.Split(path, "/")
	return slices.Contains(segments, ".") || slices.Contains(segments, "..")
}

// noOperation answers 405 if the path has operations with other methods, else 404. An OPTIONS
// that is no CORS preflight gets the methods too (RFC 9110 §9.3.7).
func (m *Mux) noOperation(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range m.methods {
		_, pattern := m.mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host})
		if pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
			if method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	if len(allowed) == 0 {
		m.config.Host.Fail(w, r, NoRoute)
		return
	}
	w.Header().Set("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	m.config.Host.Fail(w, r, errs.New(errs.KindNoMethod, "method", "not allowed"))
}

// need says whether an operation asks for credentials.
type need uint8

const (
	ignored need = iota
	optional
	required
)

// operation is one operation of the contract with all that is checked before its handler.
type operation struct {
	mux        *Mux
	host       Host
	id         string
	contract   *openapi3.Operation
	need       need
	scheme     string // of the credentials
	oauth      bool   // errors are as OAuth has them
	parameters []*openapi3.Parameter
	body       *bodyRules // nil: the body, if any, is not read
	places     places
	tagged     bool             // answers carry an ETag, since the contract knows 304
	events     *openapi3.Schema // of each event that it streams, to check them; nil: none
	handler    http.HandlerFunc
	rehearsal  rehearsal // nil: answers are the real ones
	deprecated http.Header
}

func newOperation(
	m *Mux, item *openapi3.PathItem, contract *openapi3.Operation, handler http.HandlerFunc,
) *operation {
	o := &operation{mux: m, host: m.config.Host, id: contract.OperationID, contract: contract, handler: handler}
	security := &m.config.Document.Security
	if contract.Security != nil {
		security = contract.Security
	}
	for _, requirement := range *security {
		for scheme := range requirement {
			if o.scheme != "" {
				panic(fmt.Sprintf("contract: %s takes credentials of two schemes", o.id))
			}
			o.need, o.scheme = optional, scheme
		}
	}
	none := func(r openapi3.SecurityRequirement) bool { return len(r) == 0 }
	if o.need == optional && !slices.ContainsFunc(*security, none) {
		o.need = required
	}
	o.oauth = contract.Extensions["x-oauth-errors"] == true
	for _, parameter := range slices.Concat(item.Parameters, contract.Parameters) {
		o.parameters = append(o.parameters, parameter.Value)
	}
	if contract.RequestBody != nil {
		o.body = newBodyRules(contract.RequestBody.Value)
	}
	o.places = placesOf(o.body, o.parameters)
	o.tagged = contract.Responses.Value("304") != nil
	if o.tagged {
		o.handler = o.conditional(o.handler)
	}
	if strict := m.config.Strict; strict != nil {
		o.events = eventSchema(strict, contract)
	}
	if m.config.Rehearse {
		o.rehearsal = newRehearsal(contract)
	}
	deprecated, err := deprecationOf(contract.Deprecated, contract.Extensions)
	if err != nil {
		panic(fmt.Sprintf("contract: %s: %v", o.id, err)) // Load refuses it
	}
	page := m.config.Deprecations
	if contract.ExternalDocs != nil {
		page = contract.ExternalDocs.URL
	}
	o.deprecated = deprecated.headers(page)
	return o
}

// ServeHTTP implements [http.Handler].
func (o *operation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	exchange := o.host.Exchange(r.Context())
	exchange.OperationID, exchange.Pattern, exchange.operation = o.id, r.Pattern, o
	maps.Copy(w.Header(), o.deprecated)
	answer := o.answer
	if o.mux.config.Script != nil {
		if scripted := o.mux.config.Script(w, r, o.id); scripted != (Scripted{}) {
			answer = o.scripted(scripted, answer)
		}
	}
	if o.rehearsal != nil && len(r.Header["Prefer"]) > 0 {
		wish, err := o.rehearsal.read(r.Header["Prefer"])
		if err == nil {
			err = wish.hold(w, r, o.mux.config)
		}
		if err != nil {
			// Like that of an unknown route, this is no answer of the operation, so the contract need not have it.
			o.host.Fail(w, r, err)
			return
		}
		if len(wish.words) > 0 {
			w.Header().Set("Preference-Applied", strings.Join(wish.words, ", "))
		}
		if wish.answer != nil {
			answer = func(w http.ResponseWriter, r *http.Request) { wish.write(w, r, o.host) }
			if o.tagged {
				answer = o.conditional(answer)
			}
		}
	}
	if o.mux.config.Strict == nil {
		answer(w, r)
		return
	}
	recorded := &recorder{ResponseWriter: w}
	if o.events != nil {
		recorded.events = &eventCheck{schema: o.events}
	}
	answer(recorded, r)
	o.check(r, recorded) // after a panic, what is sent is not the operation's
}

// answer checks the request in the order that [Mux] says, and has the handler answer it.
func (o *operation) answer(w http.ResponseWriter, r *http.Request) {
	var err error
	if o.need != ignored {
		err = o.host.Authenticate(w, r, o.scheme, o.need == required)
	}
	if err == nil {
		err = o.checkParameters(r)
	}
	if err == nil && o.body != nil {
		err = o.bindBody(w, r)
	}
	if err != nil {
		o.host.Fail(w, r, err)
		return
	}
	o.handler(w, r)
}

// checkParameters holds path and query to the contract. An empty query parameter counts as not given, since forms send
// all their fields. It is taken out of the query, so that the generated code does not refuse it.
func (o *operation) checkParameters(r *http.Request) error {
	if len(o.parameters) == 0 && r.URL.RawQuery == "" {
		return nil
	}
	var found []errs.Detail
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		found = append(found, errs.Detail{Field: "query", Message: "is not valid"})
	}
	given := len(query)
	for _, parameter := range o.parameters {
		values := query[parameter.Name]
		if parameter.In == openapi3.ParameterInPath {
			values = []string{r.PathValue(parameter.Name)}
		} else if len(values) == 1 && values[0] == "" {
			delete(query, parameter.Name)
			continue
		}
		wrong := func(message string) {
			found = append(found, errs.Detail{Field: parameter.Name, Message: message, At: parameterPlace(parameter)})
		}
		switch len(values) {
		case 0:
			continue
		case 1:
		default:
			wrong(givenTwice)
			continue
		}
		if message, ok := checkText(values[0]); !ok {
			wrong(message)
			continue
		}
		if message, ok := checkParameter(parameter, values[0]); !ok {
			// A path that cannot name anything is not found. The contract says what is not.
			if noun, ok := parameter.Extensions["x-not-found"].(string); ok {
				return errs.NotFound(noun)
			}
			wrong(message)
		}
	}
	if len(query) < given {
		without := *r.URL
		without.RawQuery = query.Encode()
		r.URL = &without
	}
	return errs.Found(found)
}

// checkParameter returns what is wrong with the value of a parameter.
func checkParameter(parameter *openapi3.Parameter, text string) (message string, ok bool) {
	var value any = text
	schema := parameter.Schema.Value
	if schema.Type.Is(openapi3.TypeInteger) {
		number, err := strconv.ParseInt(text, 10, 64)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return outOfRange, false
		case err != nil || strconv.FormatInt(number, 10) != text:
			return "must be an integer", false
		}
		value = number
	}
	if schema.Type.Is(openapi3.TypeBoolean) && (text == "true" || text == "false") {
		value = text == "true"
	}
	if err := schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest()); err != nil {
		return problems(err, parameter.Name)[0].message, false
	}
	return "", true
}

// bindBody reads the body, holds it to the contract, and hands the decoded value on to the generated code.
func (o *operation) bindBody(w http.ResponseWriter, r *http.Request) error {
	value, err := o.body.read(o.host, w, r)
	if err != nil {
		return err
	}
	if err := o.body.check(value); err != nil {
		return err
	}
	if o.body.form {
		bindForm(r, value)
		return nil
	}
	r.Body = boundBody{ReadCloser: r.Body, value: value}
	return nil
}
