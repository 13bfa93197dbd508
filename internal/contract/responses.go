package contract

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"conduit/internal/errs"

	"github.com/getkin/kin-openapi/openapi3"
)

// Violation is an answer that breaks the contract.
type Violation struct {
	OperationID string
	Status      int
	Reason      string // with the JSON pointer; never a value
}

// Strict makes a document forbid members that its objects do not list, and returns it.
func Strict(document *openapi3.T) *openapi3.T {
	no := false
	for _, schema := range document.Components.Schemas {
		if len(schema.Value.Properties) > 0 {
			schema.Value.AdditionalProperties = openapi3.BoolSchema{Has: &no}
		}
	}
	return document
}

// check looks at a recorded answer of the operation, and counts.
func (o *operation) check(r *http.Request, answer *recorder) {
	if answer.status == 0 && r.Context().Err() != nil {
		return // the client has gone; there is no answer
	}
	m := o.mux
	m.Checked.Add(1)
	if m.config.OnAnswer != nil {
		m.config.OnAnswer(o.id, answer.status, answer.body.Bytes())
	}
	err := m.violation(r, answer)
	if err == nil {
		return
	}
	m.Violations.Add(1)
	if m.config.OnViolation != nil {
		m.config.OnViolation(r, Violation{OperationID: o.id, Status: answer.status, Reason: err.Error()})
	}
}

func (m *Mux) violation(r *http.Request, answer *recorder) error {
	_, path, _ := strings.Cut(r.Pattern, " ")
	item := m.config.Strict.Paths.Value(strings.TrimPrefix(path, m.config.Base))
	if item == nil {
		return fmt.Errorf("%s is not in the contract", r.Pattern)
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	documented := item.GetOperation(method).Responses.Value(strconv.Itoa(answer.status))
	if documented == nil {
		return errors.New("the status is not in the contract")
	}
	for name, header := range documented.Value.Headers {
		if header.Value.Required && answer.Header().Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	if len(documented.Value.Content) == 0 {
		if answer.long || answer.body.Len() > 0 {
			return errors.New("there is a body where the contract has none")
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(answer.Header().Get("Content-Type"))
	media := documented.Value.Content[kind]
	if media == nil && answer.status >= http.StatusBadRequest {
		media = m.anyError[kind]
	}
	if err != nil || media == nil {
		kinds := slices.Sorted(maps.Keys(documented.Value.Content))
		return errors.New("the media type is not " + strings.Join(kinds, " or "))
	}
	if events := answer.events.of(answer.Header()); events != nil {
		return events.err
	}
	if answer.long || r.Method == http.MethodHead && answer.body.Len() == 0 {
		return nil
	}
	var value any = answer.body.String()
	if kind == jsonMedia || strings.HasSuffix(kind, "+json") {
		var problems []errs.Detail
		if value, problems = decode(answer.body.Bytes(), bounds{}, nil); len(problems) > 0 {
			return errors.New("the body is not JSON")
		}
	}
	return withoutValues(media.Schema.Value.VisitJSON(value,
		openapi3.MultiErrors(), openapi3.VisitAsResponse(), openapi3.EnableFormatValidation()))
}

// anyError returns the forms that a document has for all its errors: those of the component response to which
// x-any-error refers.
func anyError(document *openapi3.T) openapi3.Content {
	reference, ok := document.Extensions["x-any-error"].(map[string]any)
	if !ok {
		return nil
	}
	name, _ := reference["$ref"].(string)
	response := document.Components.Responses[strings.TrimPrefix(name, "#/components/responses/")]
	if response == nil {
		panic("contract: x-any-error refers to no component response")
	}
	return response.Value.Content
}

// mediaOf returns in which form an answer has its body unless another is asked for, and what the contract says of that;
// nil if there is no body. Any other than JSON is a text.
func mediaOf(response *openapi3.Response) (kind string, media *openapi3.MediaType) {
	for kind, media = range response.Content {
		if kind == jsonMedia {
			break
		}
	}
	return kind, media
}

// withoutValues returns where the validator's findings are and which rules they break, without any value.
func withoutValues(err error) error {
	var text []string
	var walk func(error)
	walk = func(err error) {
		switch err := err.(type) { //nolint:errorlint // nested plainly; As would stop at the first
		case openapi3.MultiError:
			for _, one := range err {
				walk(one)
			}
		case *openapi3.SchemaError:
			text = append(text, "/"+strings.Join(err.JSONPointer(), "/")+" breaks "+err.SchemaField)
		default:
			text = append(text, "the body is not what the contract says")
		}
	}
	if err == nil {
		return nil
	}
	walk(err)
	return errors.New(strings.Join(text, "; "))
}

// recorder keeps a copy of an answer on its way out, unless its body is very long. That is streamed, to be in nobody's
// memory as a whole, and its body is not checked. Streams of events are checked on their way out and not kept.
type recorder struct {
	http.ResponseWriter
	events *eventCheck // nil if the operation streams none
	status int
	body   bytes.Buffer
	long   bool
}

// mostChecked is how long a body may be that is checked, in bytes.
const mostChecked = 16 << 20

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(text []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if events := r.events.of(r.Header()); events != nil {
		events.write(text)
		return r.ResponseWriter.Write(text)
	}
	if r.long = r.long || r.body.Len()+len(text) > mostChecked; r.long {
		r.body = bytes.Buffer{}
	} else {
		r.body.Write(text)
	}
	return r.ResponseWriter.Write(text)
}

// Unwrap lets http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
