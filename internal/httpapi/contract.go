package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// contractMux is the router under the generated code. It holds every request to openapi.yaml before a handler sees it,
// in this order: authentication, parameters, body. What the document says of an operation is looked up once, when the
// operation is mounted, so that a request costs no routing beyond http.ServeMux's own.
type contractMux struct {
	document  *openapi3.T
	mux       *http.ServeMux
	methods   []string        // all that any operation has, for 405
	mounted   map[string]bool // by operationId
	slashless map[string]bool // patterns to which a slash at the end does not lead, see lenient
	users     *identity.Users
	log       *slog.Logger
	responses *responseCheck  // nil: answers are not checked
	version   string          // of the program
	pace      pace            // of bodies
	rehearse  bool            // whether requests may ask for the contract's examples
	stopping  <-chan struct{} // closed when nobody is to be kept waiting any longer
}

func newContractMux(document *openapi3.T, users *identity.Users, log *slog.Logger) *contractMux {
	methods := map[string]bool{}
	for _, item := range document.Paths.Map() {
		for method := range item.Operations() {
			methods[method] = true
		}
	}
	c := &contractMux{
		document: document, mux: http.NewServeMux(), methods: slices.Sorted(maps.Keys(methods)),
		mounted: map[string]bool{}, slashless: map[string]bool{}, users: users, log: log,
	}
	for path, item := range document.Paths.Map() {
		last := strings.LastIndexByte(path, '/')
		for method := range item.Operations() {
			if path[last+1] == '{' && method != http.MethodGet {
				c.slashless[method+" "+base+path[:last]] = true
			}
		}
	}
	c.mux.HandleFunc("/", c.noOperation)
	return c
}

// HandleFunc mounts the handler of "METHOD /base/path". It panics when the contract has no such operation: then the
// generated code and the document have drifted apart, and the server must not start.
func (c *contractMux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	method, path, _ := strings.Cut(pattern, " ")
	item := c.document.Paths.Value(strings.TrimPrefix(path, base))
	if item == nil || item.GetOperation(method) == nil {
		panic(fmt.Sprintf("httpapi: %s is not in openapi.yaml", pattern))
	}
	operation := newOperation(c, item, item.GetOperation(method), handler)
	c.mounted[operation.id] = true
	c.mux.Handle(pattern, operation)
}

// alias answers path with what is mounted at the other pattern.
func (c *contractMux) alias(path, pattern string) {
	method, mounted, _ := strings.Cut(pattern, " ")
	handler, _ := c.mux.Handler(&http.Request{Method: method, URL: &url.URL{Path: mounted}})
	c.mux.Handle(method+" "+path, handler)
}

// unmounted lists the operations of the contract which no handler answers.
func (c *contractMux) unmounted() []string {
	var ids []string
	for _, item := range c.document.Paths.Map() {
		for _, operation := range item.Operations() {
			if !c.mounted[operation.OperationID] {
				ids = append(ids, operation.OperationID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// ServeHTTP implements [http.Handler].
func (c *contractMux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// http.ServeMux answers these with a redirect in HTML, which loses the body of a POST. They are no paths of ours.
	if escaped := r.URL.EscapedPath(); !strings.HasPrefix(escaped, "/") || strings.Contains(escaped, "//") || hasDotSegment(escaped) {
		writeError(w, r, c.log, noRoute)
		return
	}
	meant := c.lenient(r)
	if meant == nil {
		writeError(w, r, c.log, noRoute)
		return
	}
	c.mux.ServeHTTP(w, meant)
}

// lenient is the request as it was meant, in two points on which front ends and Go disagree. RealWorld's Angular front
// end publishes to /articles/, and a redirect would lose the body. And a semicolon in a query is a character like any
// other (URL Standard §5.1), which Angular does not encode; package url drops the pair that has one.
//
// It is nil where a slash may be all that is left of a path whose last parameter came out empty, and the operation
// changes something: who means to end one session must not end them all. Nothing that can be read has an empty name, so
// reading /articles/ lists.
func (c *contractMux) lenient(r *http.Request) *http.Request {
	path, rawPath, query := r.URL.Path, r.URL.RawPath, r.URL.RawQuery
	slash := strings.HasPrefix(path, base+"/") && strings.HasSuffix(r.URL.EscapedPath(), "/")
	if slash {
		path, rawPath = strings.TrimSuffix(path, "/"), strings.TrimSuffix(rawPath, "/")
	}
	query = strings.ReplaceAll(query, ";", "%3B")
	if !slash && query == r.URL.RawQuery {
		return r
	}
	meant, address := *r, *r.URL
	address.Path, address.RawPath, address.RawQuery = path, rawPath, query
	meant.URL = &address
	if _, pattern := c.mux.Handler(&meant); slash && c.slashless[pattern] {
		return nil
	}
	return &meant
}

func hasDotSegment(path string) bool {
	if !strings.Contains(path, "/.") {
		return false
	}
	return slices.ContainsFunc(strings.Split(path, "/"), func(segment string) bool { return segment == "." || segment == ".." })
}

var noRoute = &malformed{http.StatusNotFound, "route", "not found"}

// noOperation answers 405 if the path has operations with other methods, else 404. OPTIONS that are no CORS preflight
// are told the methods as well (RFC 9110 §9.3.7).
func (c *contractMux) noOperation(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range c.methods {
		if _, pattern := c.mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
			if method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	if len(allowed) == 0 {
		writeError(w, r, c.log, noRoute)
		return
	}
	w.Header().Set("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	writeError(w, r, c.log, &malformed{http.StatusMethodNotAllowed, "method", "not allowed"})
}

// tokenNeed is whether an operation asks for a token.
type tokenNeed uint8

const (
	tokenIgnored tokenNeed = iota
	tokenOptional
	tokenRequired
)

// operation is one operation of the contract with all that is checked before its handler.
type operation struct {
	mux        *contractMux
	id         string
	contract   *openapi3.Operation
	need       tokenNeed
	parameters []*openapi3.Parameter
	body       *bodyRules // nil: the body, if any, is not read
	tagged     bool       // answers carry an ETag, since the contract knows 304
	handler    http.HandlerFunc
	rehearsal  rehearsal // nil: answers are the real ones
}

func newOperation(c *contractMux, item *openapi3.PathItem, contract *openapi3.Operation, handler http.HandlerFunc) *operation {
	o := &operation{mux: c, id: contract.OperationID, contract: contract, handler: handler}
	security := &c.document.Security
	if contract.Security != nil {
		security = contract.Security
	}
	for _, requirement := range *security {
		if len(requirement) > 0 {
			o.need = max(o.need, tokenOptional)
		}
	}
	if o.need == tokenOptional && !slices.ContainsFunc(*security, func(r openapi3.SecurityRequirement) bool { return len(r) == 0 }) {
		o.need = tokenRequired
	}
	for _, parameter := range slices.Concat(item.Parameters, contract.Parameters) {
		o.parameters = append(o.parameters, parameter.Value)
	}
	if contract.RequestBody != nil {
		o.body = newBodyRules(contract.RequestBody.Value, c.pace)
	}
	o.tagged = contract.Responses.Value("304") != nil
	if o.tagged {
		o.handler = conditional(o.handler, c.version)
	}
	if c.rehearse {
		o.rehearsal = newRehearsal(contract)
	}
	return o
}

// ServeHTTP implements [http.Handler].
func (o *operation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked := requestFrom(r.Context())
	asked.operation, asked.pattern = o.id, r.Pattern
	answer := o.answer
	if o.rehearsal != nil && len(r.Header["Prefer"]) > 0 {
		wish, err := o.rehearsal.read(r.Header["Prefer"])
		if err == nil {
			err = wish.hold(w, r, o.mux.stopping)
		}
		if err != nil {
			// None of the operation's own answers, like an unknown route: the contract need not have the status.
			writeError(w, r, o.mux.log, err)
			return
		}
		if len(wish.words) > 0 {
			w.Header().Set("Preference-Applied", strings.Join(wish.words, ", "))
		}
		if wish.answer != nil {
			answer = wish.write
			if o.tagged {
				answer = conditional(answer, o.mux.version)
			}
		}
	}
	if o.mux.responses == nil {
		answer(w, r)
		return
	}
	recorded := &recorder{ResponseWriter: w}
	answer(recorded, r)
	o.mux.responses.check(r, o, recorded) // after a panic, what is sent is not the operation's
}

// answer is the real answer.
func (o *operation) answer(w http.ResponseWriter, r *http.Request) {
	caller, err := o.caller(w, r)
	if err == nil {
		err = o.checkParameters(r)
	}
	if err == nil && o.body != nil {
		err = o.bindBody(w, r)
	}
	if err != nil {
		writeError(w, r, o.mux.log, err)
		return
	}
	requestFrom(r.Context()).caller = caller
	o.handler(w, r)
}

// caller finds who is calling, as far as the contract asks. Where a token is optional a bad one reads as none: front
// ends log people out on 401, and somebody whose token has just expired must still be able to read. The challenge tells
// them (RFC 9110 §11.6.1 allows it on any answer).
func (o *operation) caller(w http.ResponseWriter, r *http.Request) (identity.Caller, error) {
	if o.need == tokenIgnored {
		return identity.Caller{}, nil
	}
	caller, err := authenticated(r, o.mux.users)
	var refusal *errs.Error
	if o.need == tokenRequired || !errors.As(err, &refusal) || refusal.Kind != errs.KindUnauthenticated {
		return caller, err
	}
	if refusal.Fields["token"][0] != missingToken {
		w.Header().Set("WWW-Authenticate", invalidTokenChallenge)
	}
	return identity.Caller{}, nil
}

// checkParameters holds path and query to the contract. A query parameter that is empty counts as not given, since
// forms send all their fields: it is taken out of the query, where the generated code would stumble over it.
func (o *operation) checkParameters(r *http.Request) error {
	if len(o.parameters) == 0 && r.URL.RawQuery == "" {
		return nil
	}
	fields := errs.Fields{}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		fields.Add("query", "is not valid")
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
		switch len(values) {
		case 0:
			continue
		case 1:
		default:
			fields.Add(parameter.Name, "is given more than once")
			continue
		}
		if message, ok := checkText(values[0]); !ok {
			fields.Add(parameter.Name, message)
			continue
		}
		if wrong := checkParameter(parameter, values[0]); len(wrong) > 0 {
			// A path that cannot name anything names nothing: the contract says of what.
			if noun, ok := parameter.Extensions["x-not-found"].(string); ok {
				return errs.NotFound(noun)
			}
			maps.Copy(fields, wrong)
		}
	}
	if len(query) < given {
		without := *r.URL
		without.RawQuery = query.Encode()
		r.URL = &without
	}
	return fields.Err()
}

func checkParameter(parameter *openapi3.Parameter, text string) errs.Fields {
	var value any = text
	schema := parameter.Schema.Value
	if schema.Type.Is(openapi3.TypeInteger) {
		number, err := strconv.ParseInt(text, 10, 64)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return errs.Fields{parameter.Name: {outOfRange}}
		case err != nil || strconv.FormatInt(number, 10) != text:
			return errs.Fields{parameter.Name: {"must be an integer"}}
		}
		value = number
	}
	if err := schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest()); err != nil {
		return problems(err, parameter.Name)
	}
	return nil
}

// bindBody reads the body, holds it to the contract, and hands the decoded value on to the generated code.
func (o *operation) bindBody(w http.ResponseWriter, r *http.Request) error {
	value, err := o.body.read(w, r)
	if err != nil {
		return err
	}
	if err := o.body.schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest()); err != nil {
		return problems(err, "body").Err()
	}
	r.Body = body{ReadCloser: r.Body, value: value}
	return nil
}
