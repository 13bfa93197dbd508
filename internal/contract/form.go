package contract

import (
	"net/http"
	"net/url"
	"strings"

	"conduit/internal/errs"

	"github.com/getkin/kin-openapi/openapi3"
)

// formMedia is the media type of forms, which is how OAuth sends requests.
const formMedia = "application/x-www-form-urlencoded"

// maxPairs is how many fields a form may have. The contract's own forms have two.
const maxPairs = 100

// decodeForm decodes a form (URL Standard §5.1). It refuses what readers disagree about: a field that is there twice,
// of which one takes the first and another the last, and escapes that are none. A field without a value counts as left
// out (RFC 6749 §3.1), but not for the second time.
//
// The value is a map[string]any of texts. Problems are as those of decode.
func decodeForm(text string, locate locate) (value any, problems []errs.Detail) {
	form, given := map[string]any{}, map[string]bool{}
	note := func(name, message string) {
		field, at := locate([]string{name}, name)
		problems = append(problems, errs.Detail{Field: field, Message: message, At: at})
	}
	pairs := 0
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		if pairs++; pairs > maxPairs {
			problems = nil
			note(whole, errTooMany.Error())
			return nil, problems
		}
		escapedName, escapedText, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(escapedName)
		text, wrong := url.QueryUnescape(escapedText)
		message, fits := checkText(text)
		switch {
		case err != nil || wrong != nil:
			note(whole, "is not a valid form")
		case given[name]:
			note(name, givenTwice)
		case !fits:
			note(name, message)
		case text != "":
			form[name] = text
		}
		given[name] = true
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return form, nil
}

// checkFormSchema panics unless all that a form may have are texts: there is nothing that decodes others.
func checkFormSchema(schema *openapi3.Schema) {
	for name, property := range schema.Properties {
		if !property.Value.Type.Is(openapi3.TypeString) {
			panic("contract: the field " + name + " of a form is no text")
		}
	}
}

// bindForm hands a decoded form on to the generated code, which calls ParseForm. That would add what stands in the
// query of the URL, and leaves alone what is there already.
func bindForm(r *http.Request, value any) {
	r.PostForm = url.Values{}
	for name, text := range value.(map[string]any) {
		r.PostForm.Set(name, text.(string))
	}
	r.Form = r.PostForm
}
