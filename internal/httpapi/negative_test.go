package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	contract "conduit"
)

// bad is a request that the contract forbids, and the status that says so.
type bad struct {
	call
	why    string
	status int
}

// TestWhatTheContractForbids sends requests derived from openapi.yaml, each with one thing wrong: a new operation, parameter or
// field has its own by itself. The response check sees to it that a refusal is one of those which the operation documents.
func TestWhatTheContractForbids(t *testing.T) {
	document, err := openapi3.NewLoader().LoadFromData(contract.Document)
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		var requests []bad
		for path, item := range document.Paths.Map() {
			for method, operation := range item.Operations() {
				good := goodCall(method, path, slices.Concat(item.Parameters, operation.Parameters), operation)
				good.token = token
				requests = append(requests, badTokens(good, operation)...)
				requests = append(requests, badParameters(good, path, slices.Concat(item.Parameters, operation.Parameters))...)
				if operation.RequestBody != nil {
					requests = append(requests, badBodies(good, operation.RequestBody.Value.Content.Get("application/json"))...)
				}
			}
			for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
				if item.Operations()[method] == nil && path != "/articles/feed" { // a slug to the other methods
					c := goodCall(method, path, item.Parameters, nil)
					c.token = token
					requests = append(requests, bad{c, "a method of no operation", http.StatusMethodNotAllowed})
				}
			}
		}
		for _, request := range requests {
			got := s.do(t, request.call)
			wantRefusal(t, fmt.Sprintf("%s %s: %s", request.method, request.path, request.why), got, request.status)
		}
		if t.Logf("%d requests", len(requests)); len(requests) < 700 {
			t.Error("too few")
		}
	})
}

// goodCall is what the contract's examples ask for.
func goodCall(method, path string, parameters openapi3.Parameters, operation *openapi3.Operation) call {
	c := call{method: method, path: "/api" + path, headers: map[string]string{}}
	for _, parameter := range parameters {
		if parameter.Value.In == openapi3.ParameterInPath {
			c.path = strings.Replace(c.path, "{"+parameter.Value.Name+"}", fmt.Sprint(parameter.Value.Example), 1)
		}
	}
	if operation != nil && operation.RequestBody != nil {
		c.body = asJSON(operation.RequestBody.Value.Content.Get("application/json").Example)
	}
	return c
}

func badTokens(good call, operation *openapi3.Operation) (requests []bad) {
	if len(*operation.Security) != 1 {
		return nil // none needed
	}
	header := func(why, value string) {
		c := good
		c.token, c.headers = "", map[string]string{"Authorization": value}
		requests = append(requests, bad{c, why, http.StatusUnauthorized})
	}
	header("no token", "")
	header("no scheme", good.token)
	header("a scheme alone", "Bearer")
	header("another scheme", "Basic "+good.token)
	header("a word", "Bearer "+marker)
	header("a token cut short", "Bearer "+good.token[:len(good.token)-3])
	header("two tokens", "Bearer "+good.token+", Bearer "+good.token)
	header("a token and more", "Bearer "+good.token+" "+marker)
	return requests
}

func badParameters(good call, path string, parameters openapi3.Parameters) (requests []bad) {
	query := func(why, text string) {
		c := good
		c.path += "?" + text
		requests = append(requests, bad{c, why, http.StatusUnprocessableEntity})
	}
	query("a query that cannot be decoded", "limit=%zz")
	for _, reference := range parameters {
		parameter, schema := reference.Value, reference.Value.Schema.Value
		values := map[string]string{"NUL": "%00", "invalid UTF-8": "a%ff", "a UTF-8 half": "%e2%82"}
		unfit := map[string]string{} // of the right kind, and out of its limits
		if schema.Type.Is(openapi3.TypeInteger) {
			unfit = map[string]string{
				"a word": marker, "a fraction": "1.5", "a power": "1e3", "a sign": "%2B1", "a blank": "%201", "zeros": "007", "hexadecimal": "0x1",
				"beyond 64 bits": "9223372036854775808", "too small": strconv.Itoa(int(*schema.Min) - 1),
			}
		}
		if schema.MaxLength != nil {
			unfit["too long"] = strings.Repeat("a", int(*schema.MaxLength)+1)
		}
		if schema.Pattern != "" {
			unfit["against the pattern"] = "%20"
		}
		if parameter.In == openapi3.ParameterInQuery {
			maps.Copy(values, unfit)
			for why, value := range values {
				query(parameter.Name+" "+why, parameter.Name+"="+value)
			}
			query(parameter.Name+" twice", parameter.Name+"=1&"+parameter.Name+"=1")
			continue
		}
		at := func(values map[string]string, status int) {
			for why, value := range values {
				c := good
				segments := strings.Split(path, "/")
				segments[slices.Index(segments, "{"+parameter.Name+"}")] = value
				c.path = "/api" + strings.Join(segments, "/")
				for _, other := range parameters {
					c.path = strings.Replace(c.path, "{"+other.Value.Name+"}", fmt.Sprint(other.Value.Example), 1)
				}
				requests = append(requests, bad{c, parameter.Name + " " + why, status})
			}
		}
		at(values, http.StatusUnprocessableEntity)
		at(unfit, http.StatusNotFound) // what cannot name anything names nothing
	}
	return requests
}

func badBodies(good call, media *openapi3.MediaType) (requests []bad) {
	body := func(why, text string) {
		c := good
		c.body = text
		requests = append(requests, bad{c, why, http.StatusUnprocessableEntity})
	}
	for _, kind := range []string{"text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ";", ""} {
		c := good
		c.headers = map[string]string{"Content-Type": kind}
		requests = append(requests, bad{c, "Content-Type " + kind, http.StatusUnsupportedMediaType})
	}
	packed := good
	packed.headers = map[string]string{"Content-Encoding": "gzip"}
	large := good
	large.body = strings.Repeat(" ", 1<<20) + good.body
	requests = append(requests,
		bad{packed, "Content-Encoding gzip", http.StatusUnsupportedMediaType}, bad{large, "too large", http.StatusRequestEntityTooLarge})
	for why, text := range map[string]string{
		"null": "null", "a string": `"` + marker + `"`, "a number": "1", "an array": "[]", "nothing but a blank": " ",
		"cut short": good.body[:len(good.body)-1], "more behind it": good.body + "{}", "no object": good.body[1 : len(good.body)-1],
	} {
		body(why, text)
	}

	for wrapper, inner := range media.Schema.Value.Properties {
		whole := media.Example.(map[string]any)
		for why, value := range unfitValues(inner.Value) {
			body(wrapper+" "+why, with(whole, wrapper, value))
		}
		body(wrapper+" missing", "{}")
		fields := whole[wrapper].(map[string]any)
		for name, property := range inner.Value.Properties {
			for why, value := range unfitValues(property.Value) {
				body(name+" "+why, `{"`+wrapper+`":`+with(fields, name, value)+`}`)
			}
			if slices.Contains(inner.Value.Required, name) {
				rest := maps.Clone(fields)
				delete(rest, name)
				body(name+" missing", `{"`+wrapper+`":`+asJSON(rest)+`}`)
			}
		}
	}
	return requests
}

// unfitValues gives JSON that the schema forbids.
func unfitValues(schema *openapi3.Schema) map[string]string {
	values := map[string]string{"a number": "12345678", "true": "true", "a string": `"` + marker + `"`, "an array": `[]`, "an object": `{"a":1}`}
	for kind, why := range map[string]string{openapi3.TypeString: "a string", openapi3.TypeArray: "an array", openapi3.TypeObject: "an object"} {
		if schema.Type.Is(kind) {
			delete(values, why)
		}
	}
	if !schema.Nullable {
		values["null"] = "null"
	}
	if schema.Type.Is(openapi3.TypeString) {
		values["NUL"] = `"a\u0000b"`
		values["a lone surrogate"] = `"\ud800"`
		values["invalid UTF-8"] = "\"\xff\""
		values["an escape that is none"] = `"\x"`
		values["too long"] = asJSON(strings.Repeat("a", int(*schema.MaxLength)+1))
	}
	if schema.MinLength > 0 {
		values["too short"] = asJSON(strings.Repeat("a", int(schema.MinLength)-1))
	}
	if schema.Pattern != "" {
		values["against the pattern"] = `"   "`
	}
	if schema.Type.Is(openapi3.TypeArray) {
		values["too many"] = "[" + strings.Repeat(`"a",`, int(*schema.MaxItems)) + `"a"]`
		for why, value := range unfitValues(schema.Items.Value) {
			values["with "+why] = "[" + value + "]"
		}
	}
	return values
}

// with is the object as JSON, in which a member has a value that need not be JSON.
func with(object map[string]any, member, value string) string {
	const place = "\u2603"
	changed := maps.Clone(object)
	changed[member] = place
	return strings.Replace(asJSON(changed), `"`+place+`"`, value, 1)
}

func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // only called with what was JSON
	}
	return string(text)
}
