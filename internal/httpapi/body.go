package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"conduit/internal/conduit"
	"conduit/internal/httpapi/strictjson"
)

// maxBody is how many bytes a request body may have. The largest thing anybody sends is the text of an article.
const maxBody = 1 << 20

// body is a request body which was read, decoded and checked. The generated code binds its value instead of decoding
// the bytes a second time, by the rules of encoding/json, which are laxer than the contract's.
type body struct {
	io.ReadCloser
	value any
}

// ValidatedValue gives the decoded JSON to github.com/oapi-codegen/runtime.BindJSONBody.
func (b body) ValidatedValue() any { return b.value }

// readBody reads the whole body and decodes it strictly. Problems are told of the fields given; a member that is none of them
// has a name which the client made up, and answers repeat nothing that was sent.
func readBody(w http.ResponseWriter, r *http.Request, known map[string]bool) (any, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &malformed{http.StatusUnsupportedMediaType, strictjson.Whole, "must be sent as application/json"}
	}
	if coded(r.Header.Values("Content-Encoding")) {
		w.Header().Set("Accept-Encoding", "identity") // RFC 9110 §15.5.16
		return nil, &malformed{http.StatusUnsupportedMediaType, strictjson.Whole, "must be sent without a Content-Encoding"}
	}
	tooLarge := &malformed{http.StatusRequestEntityTooLarge, strictjson.Whole, "is too large (maximum is " + strconv.Itoa(maxBody) + " bytes)"}
	if r.ContentLength > maxBody {
		return nil, tooLarge
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return nil, tooLarge
	case err != nil:
		return nil, &malformed{http.StatusBadRequest, strictjson.Whole, "could not be read"}
	}
	value, problems := strictjson.Decode(bytes.TrimPrefix(data, byteOrderMark))
	fields := conduit.Fields{}
	for field, message := range problems {
		if !known[field] {
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
