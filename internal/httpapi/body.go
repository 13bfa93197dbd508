package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/errs"
	"conduit/internal/httpapi/strictjson"
)

// bodyRules are what the contract says of the body of an operation.
type bodyRules struct {
	schema *openapi3.Schema
	fields map[string]bool // the names of all members that the body may have
	bounds strictjson.Bounds
	limit  int64 // in bytes
	pace   pace
}

const (
	smallBody = 16 << 10 // how many bytes a body may have whose x-max-bytes the contract does not tell
	// maxValues is how many values a body may have. The contract's own have some sixty; front ends send whole objects
	// back.
	maxValues = 10_000
)

func newBodyRules(contract *openapi3.RequestBody, pace pace) *bodyRules {
	b := &bodyRules{
		schema: contract.Content.Get("application/json").Schema.Value,
		fields: map[string]bool{},
		bounds: strictjson.Bounds{Items: map[string]int{}, Values: maxValues},
		limit:  smallBody,
		pace:   pace,
	}
	if limit, ok := contract.Extensions["x-max-bytes"].(float64); ok {
		b.limit = int64(limit)
	}
	b.add(b.schema)
	return b
}

func (b *bodyRules) add(schema *openapi3.Schema) {
	for name, property := range schema.Properties {
		b.fields[name] = true
		if property.Value.MaxItems != nil {
			b.bounds.Items[name] = int(*property.Value.MaxItems)
		}
		b.add(property.Value)
	}
}

// body is a request body which was read, decoded and checked. The generated code binds its value instead of decoding
// the bytes a second time, by the rules of encoding/json, which are laxer than the contract's.
type body struct {
	io.ReadCloser
	value any
}

// ValidatedValue gives the decoded JSON to github.com/oapi-codegen/runtime.BindJSONBody.
func (b body) ValidatedValue() any { return b.value }

// read reads the whole body and decodes it strictly. Problems are told of the fields given; a member that is none of
// them has a name which the client made up, and answers repeat nothing that was sent.
func (b *bodyRules) read(w http.ResponseWriter, r *http.Request) (any, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &malformed{http.StatusUnsupportedMediaType, strictjson.Whole, "must be sent as application/json"}
	}
	if coded(r.Header.Values("Content-Encoding")) {
		w.Header().Set("Accept-Encoding", "identity") // RFC 9110 §15.5.16
		return nil, &malformed{http.StatusUnsupportedMediaType, strictjson.Whole, "must be sent without a Content-Encoding"}
	}
	tooLarge := &malformed{http.StatusRequestEntityTooLarge, strictjson.Whole, "is too large (maximum is " + strconv.FormatInt(b.limit, 10) + " bytes)"}
	if r.ContentLength > b.limit {
		return nil, tooLarge
	}
	size := r.ContentLength
	if size < 0 {
		size = b.limit
	}
	var lease *lease
	if size > smallBody {
		var err error
		if lease, err = requestFrom(r.Context()).roomForBody(r.Context(), size); err != nil {
			return nil, err
		}
	}
	var text bytes.Buffer
	text.Grow(int(min(size, smallBody)))
	upload := b.pace.of(r, lease)
	_, err := text.ReadFrom(http.MaxBytesReader(w, upload, b.limit))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return nil, tooLarge
	case err != nil && lease != nil && lease.broken.Load():
		return nil, errs.Unavailable(err)
	case err != nil && tooSlow(err):
		w.Header().Set("Connection", "close") // RFC 9110 §15.5.9
		return nil, &malformed{http.StatusRequestTimeout, strictjson.Whole, "did not come in time"}
	case err != nil:
		if hungUp(err) {
			requestFrom(r.Context()).gone = err
		}
		return nil, &malformed{http.StatusBadRequest, strictjson.Whole, "could not be read"}
	}
	upload.done(r)
	value, problems := strictjson.Decode(bytes.TrimPrefix(text.Bytes(), byteOrderMark), b.bounds)
	fields := errs.Fields{}
	for field, message := range problems {
		if !b.fields[field] {
			field = strictjson.Whole
		}
		fields[field] = []string{message}
	}
	return value, fields.Err()
}

// byteOrderMark is what some editors and frameworks put before UTF-8; RFC 8259 §8.1 lets readers ignore it.
var byteOrderMark = []byte("\ufeff")

// coded tells whether a body is anything but what it says: "identity" is the name for no coding (RFC 9110 §8.4.1).
func coded(codings []string) bool {
	for coding := range strings.SplitSeq(strings.Join(codings, ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return true
		}
	}
	return false
}

// checkText tells what is wrong with a text that did not come in JSON: a parameter.
func checkText(text string) (message string, ok bool) {
	switch {
	case strings.ToValidUTF8(text, "") != text:
		return strictjson.NotUnicode, false
	case strings.IndexByte(text, 0) >= 0:
		return strictjson.NotAllowed, false
	}
	return "", true
}
