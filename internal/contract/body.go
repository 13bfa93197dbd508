package contract

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/errs"
)

// bodyRules are what the contract says of the body of an operation.
type bodyRules struct {
	schema *openapi3.Schema
	form   bool            // it is a form, and JSON otherwise
	fields map[string]bool // the names of all members that the body may have
	bounds bounds
	limit  int64 // in bytes
}

// jsonMedia is the media type of bodies that are JSON.
const jsonMedia = "application/json"

const (
	// SmallBody is how many bytes a body may have if the contract has no x-max-bytes for it.
	SmallBody = 16 << 10
	// maxValues is how many values a body may have. The contract's own bodies have some sixty, and front ends send
	// whole objects back.
	maxValues = 10_000
)

func newBodyRules(contract *openapi3.RequestBody) *bodyRules {
	media, form := contract.Content[jsonMedia], contract.Content[formMedia]
	if media == nil {
		media = form
	}
	b := &bodyRules{
		schema: media.Schema.Value,
		form:   media == form,
		fields: map[string]bool{},
		bounds: bounds{items: map[string]int{}, values: maxValues},
		limit:  SmallBody,
	}
	if limit, ok := contract.Extensions["x-max-bytes"].(float64); ok {
		b.limit = int64(limit)
	}
	b.add(b.schema)
	if b.form {
		checkFormSchema(b.schema)
	}
	return b
}

func (b *bodyRules) add(schema *openapi3.Schema) {
	for name, property := range schema.Properties {
		b.fields[name] = true
		if property.Value.MaxItems != nil {
			b.bounds.items[name] = int(*property.Value.MaxItems)
		}
		b.add(property.Value)
	}
}

// boundBody is a request body that was read, decoded and checked. The generated code binds its value and does not
// decode the bytes again, by the rules of encoding/json, which are laxer than the contract's.
type boundBody struct {
	io.ReadCloser
	value any
}

// ValidatedValue returns the decoded JSON. github.com/oapi-codegen/runtime.BindJSONBody calls it.
func (b boundBody) ValidatedValue() any { return b.value }

// read has the host read the whole body, and decodes it strictly. A problem is reported under a field that the contract
// has, or else under the body: a client made up any other name, and answers repeat nothing that was sent.
func (b *bodyRules) read(host Host, w http.ResponseWriter, r *http.Request) (any, error) {
	wanted := jsonMedia
	if b.form {
		wanted = formMedia
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != wanted {
		return nil, errs.New(errs.KindMediaType, whole, "must be sent as "+wanted)
	}
	if coded(r.Header.Values("Content-Encoding")) {
		w.Header().Set("Accept-Encoding", "identity") // RFC 9110 §15.5.16
		return nil, errs.New(errs.KindMediaType, whole, "must be sent without a Content-Encoding")
	}
	if r.ContentLength > b.limit {
		return nil, TooLarge(b.limit)
	}
	text, err := host.ReadBody(w, r, b.limit)
	if err != nil {
		return nil, err
	}
	var value any
	var problems []errs.Detail
	if b.form {
		value, problems = decodeForm(string(text), b.locate)
	} else {
		value, problems = decode(bytes.TrimPrefix(text, byteOrderMark), b.bounds, b.locate)
	}
	return value, errs.Found(problems)
}

func (b *bodyRules) locate(path []string, field string) (known string, at errs.Place) {
	if !b.fields[field] {
		field = whole
	}
	return field, placeIn(b.schema, path)
}

// check holds a decoded body to its schema.
func (b *bodyRules) check(value any) error {
	err := b.schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest())
	if err == nil {
		return nil
	}
	var found []errs.Detail
	for _, problem := range problems(err, whole) {
		at := placeIn(b.schema, problem.path)
		found = append(found, errs.Detail{Field: problem.field, Message: problem.message, At: at})
	}
	return errs.Found(found)
}

// byteOrderMark is what some editors and frameworks put before UTF-8; RFC 8259 §8.1 lets readers ignore it.
var byteOrderMark = []byte("\ufeff")

// coded reports whether a body has a content coding. "identity" is the name for none (RFC 9110 §8.4.1).
func coded(codings []string) bool {
	for coding := range strings.SplitSeq(strings.Join(codings, ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return true
		}
	}
	return false
}

// checkText returns what is wrong with the text of a parameter, which did not come in JSON.
func checkText(text string) (message string, ok bool) {
	switch {
	case strings.ToValidUTF8(text, "") != text:
		return notUnicode, false
	case strings.IndexByte(text, 0) >= 0:
		return notAllowed, false
	}
	return "", true
}
