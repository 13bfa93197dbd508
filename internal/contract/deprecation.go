package contract

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// An operation with `deprecated: true` says since when in x-deprecated-since, and in x-sunset when it ends, if that is
// known. These are dates or moments of RFC 3339. Each of its answers, refusals too, has that in headers: Deprecation
// (RFC 9745), Sunset (RFC 8594), and a link to the externalDocs of the operation or to the page that [Config] names.
//
// Parameters and properties say the same in the document. They have no header, since these are about a whole resource.
const (
	deprecatedSince = "x-deprecated-since"
	sunsetAt        = "x-sunset"
)

// deprecated is since when something is, and when it ends; zero for never.
type deprecated struct{ since, sunset time.Time }

// deprecationOf reads what a part of the document says. It is the same kind of part for all of them: a flag and
// extensions. The result is nil for what is not deprecated.
func deprecationOf(flag bool, extensions map[string]any) (*deprecated, error) {
	since, dated := extensions[deprecatedSince]
	sunset, ends := extensions[sunsetAt]
	switch {
	case !flag && (dated || ends):
		return nil, fmt.Errorf("%s and %s are for what is deprecated", deprecatedSince, sunsetAt)
	case !flag:
		return nil, nil //nolint:nilnil // nothing is said, and nothing is wrong
	case !dated:
		return nil, fmt.Errorf("is deprecated, and does not say in %s since when", deprecatedSince)
	}
	var d deprecated
	var err error
	if d.since, err = momentOf(deprecatedSince, since); err != nil {
		return nil, err
	}
	if !ends {
		return &d, nil
	}
	if d.sunset, err = momentOf(sunsetAt, sunset); err != nil {
		return nil, err
	}
	if !d.sunset.After(d.since) {
		return nil, fmt.Errorf("%s is not after %s", sunsetAt, deprecatedSince)
	}
	return &d, nil
}

func momentOf(name string, value any) (time.Time, error) {
	if moment, ok := value.(time.Time); ok { // as YAML has a date without quotes
		return moment, nil
	}
	text, _ := value.(string)
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if moment, err := time.Parse(layout, text); err == nil {
			return moment, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is not a date or a moment of RFC 3339", name)
}

// headers are those of every answer of a deprecated operation; nil for one that is not.
func (d *deprecated) headers(page string) http.Header {
	if d == nil {
		return nil
	}
	headers := http.Header{}
	headers.Set("Deprecation", "@"+strconv.FormatInt(d.since.Unix(), 10))
	if !d.sunset.IsZero() {
		headers.Set("Sunset", d.sunset.UTC().Format(http.TimeFormat))
	}
	if page != "" {
		headers.Set("Link", "<"+page+`>; rel="deprecation"; type="text/html"`)
	}
	return headers
}

// checkDeprecations refuses a document that does not say since when something is deprecated, or that ends something
// before.
func checkDeprecations(document *openapi3.T) error {
	var fault error
	check := func(what string, flag bool, extensions map[string]any) {
		if _, err := deprecationOf(flag, extensions); err != nil && fault == nil {
			fault = fmt.Errorf("%s: %w", what, err)
		}
	}
	parameters := func(of string, all openapi3.Parameters) {
		for _, parameter := range all {
			said := parameter.Value
			check("the parameter "+said.Name+" of "+of, said.Deprecated, said.Extensions)
		}
	}
	for path, item := range document.Paths.Map() {
		parameters(path, item.Parameters)
		for _, operation := range item.Operations() {
			check(operation.OperationID, operation.Deprecated, operation.Extensions)
			parameters(operation.OperationID, operation.Parameters)
		}
	}
	if document.Components == nil {
		return fault
	}
	for name, schema := range document.Components.Schemas {
		for property, of := range schema.Value.Properties {
			check(name+"."+property, of.Value.Deprecated, of.Value.Extensions)
		}
	}
	return fault
}
