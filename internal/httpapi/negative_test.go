package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// bad is a request that the contract forbids, and the status that says so.
type bad struct {
	call
	why    string
	status int
}

// TestWhatTheContractForbids sends requests derived from openapi.yaml, each with one thing wrong, and for both shapes
// of errors. A new operation, parameter or field has its own by itself. The response check sees to it that a refusal is
// one of those which the operation documents.
func TestWhatTheContractForbids(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token, client := s.register(t, "jake"), s.newClient(t)
		var requests []bad
		var of []documentedOperation // each of the requests is
		var paths []string
		for _, operation := range operations() {
			good := operation.callBy(token, client)
			requests = append(requests, badTokens(good, operation)...)
			requests = append(requests, badParameters(good, operation)...)
			if body := operation.body(); body != nil {
				requests = append(requests, badBodies(good, body)...)
			}
			if form := operation.form(); form != nil {
				requests = append(requests, badForms(good, form, operation.invalid())...)
			}
			of = append(of, slices.Repeat([]documentedOperation{operation}, len(requests)-len(of))...)
			if slices.Contains(paths, operation.path) {
				continue
			}
			paths = append(paths, operation.path)
			for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
				none := theContract().Paths.Value(operation.path).Operations()[method] == nil
				if none && !slices.Contains(alsoNames, operation.path) {
					c := good
					c.method = method
					requests = append(requests, bad{c, "a method of no operation", http.StatusMethodNotAllowed})
					of = append(of, operation)
				}
			}
		}
		for i, request := range requests {
			got := s.do(t, request.call)
			what := fmt.Sprintf("%s %s: %s", request.method, request.path, request.why)
			wantRefusal(t, what, got, request.status)
			wantProblem(t, what, &of[i], got, s.do(t, request.asProblem()))
			switch request.why {
			case "no token":
				got.wantError(t, request.status, "token", "is missing")
			case "no client":
				got.wantError(t, request.status, "client", "is missing")
			case "a query that cannot be decoded":
				got.wantError(t, request.status, "query", "is not valid")
			}
		}
		for line := range strings.Lines(s.log.String()) {
			if strings.Contains(line, marker) && !strings.Contains(line, "msg=request ") { // which has the path
				t.Errorf("the log holds what was sent: %s", line)
			}
		}
		if t.Logf("%d requests", len(requests)); len(requests) < 700 {
			t.Error("too few")
		}
	})
}

// alsoNames are the paths that are names of something to the other methods.
var alsoNames = []string{"/articles/feed", "/user/passkeys/challenge"}

// goodCall is what the contract's examples ask for.
func (o documentedOperation) goodCall() call {
	c := call{method: o.method, path: o.pathWith("", "")}
	if body := o.body(); body != nil {
		if body.Example == nil {
			panic("openapi.yaml: the body of " + o.OperationID + " has no example to send")
		}
		c.body = asJSON(body.Example)
	}
	if form := o.form(); form != nil {
		var pairs []string
		for name, value := range form.Example.(map[string]any) {
			pairs = append(pairs, name, fmt.Sprint(value))
		}
		return formCall(c.path, "", pairs...)
	}
	return c
}

// callBy is a goodCall of somebody with a token, or of a resource server, by what it sends as Authorization.
func (o documentedOperation) callBy(token, server string) call {
	c := o.goodCall()
	if o.forServers() {
		return c.with("Authorization", server)
	}
	c.token = token
	return c
}

// pathWith is the path of the contract's examples, but for the parameter that has the value.
func (o documentedOperation) pathWith(name, value string) string {
	path := strings.Replace("/api"+o.path, "{"+name+"}", value, 1)
	for _, parameter := range o.parameters {
		if parameter.Value.Example == nil {
			panic("openapi.yaml: the parameter " + parameter.Value.Name + " has no example to send")
		}
		path = strings.Replace(path, "{"+parameter.Value.Name+"}", fmt.Sprint(parameter.Value.Example), 1)
	}
	return path
}

func badTokens(good call, operation documentedOperation) (requests []bad) {
	if len(*operation.Security) != 1 {
		return nil // none needed
	}
	header := func(why, value string) {
		c := good.with("Authorization", value)
		c.token = ""
		requests = append(requests, bad{c, why, http.StatusUnauthorized})
	}
	if operation.forServers() {
		_, encoded, _ := strings.Cut(good.headers["Authorization"], " ")
		header("no client", "")
		header("no scheme", encoded)
		header("a scheme alone", "Basic")
		header("another scheme", "Bearer "+encoded)
		header("a word", "Basic "+marker)
		header("credentials cut short", "Basic "+encoded[:len(encoded)-4])
		header("credentials twice", "Basic "+encoded+", Basic "+encoded)
		return requests
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

func badParameters(good call, operation documentedOperation) (requests []bad) {
	query := func(why, text string) {
		c := good
		c.path += "?" + text
		requests = append(requests, bad{c, why, operation.invalid()})
	}
	query("a query that cannot be decoded", "limit=%zz")
	for _, reference := range operation.parameters {
		parameter, schema := reference.Value, reference.Value.Schema.Value
		values := map[string]string{"NUL": "%00", "invalid UTF-8": "a%ff", "a UTF-8 half": "%e2%82"}
		unfit := map[string]string{} // of the right kind, and out of its limits
		if schema.Type.Is(openapi3.TypeInteger) {
			unfit = map[string]string{
				"a word": marker, "a fraction": "1.5", "a power": "1e3", "a sign": "%2B1", "a blank": "%201",
				"zeros": "007", "hexadecimal": "0x1",
				"beyond 64 bits": "9223372036854775808", "too small": strconv.Itoa(int(*schema.Min) - 1),
			}
		}
		if schema.MaxLength != nil {
			unfit["too long"] = strings.Repeat("a", int(*schema.MaxLength)+1)
		}
		if schema.Pattern != "" {
			unfit["against the pattern"] = "%20"
		}
		if len(schema.Enum) > 0 {
			unfit["none of the words"] = "a"
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
				c.path = operation.pathWith(parameter.Name, value)
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
	for _, kind := range []string{
		"text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data",
		"application/jsonp", ";", "",
	} {
		c := good
		c.headers = map[string]string{"Content-Type": kind}
		requests = append(requests, bad{c, "Content-Type " + kind, http.StatusUnsupportedMediaType})
	}
	packed := good
	packed.headers = map[string]string{"Content-Encoding": "gzip"}
	large := good
	large.body = strings.Repeat(" ", 1<<20) + good.body
	requests = append(requests,
		bad{packed, "Content-Encoding gzip", http.StatusUnsupportedMediaType},
		bad{large, "too large", http.StatusRequestEntityTooLarge})
	for why, text := range map[string]string{
		"null": "null", "a string": `"` + marker + `"`, "a number": "1", "an array": "[]", "nothing but a blank": " ",
		"cut short": good.body[:len(good.body)-1], "more behind it": good.body + "{}",
		"no object": good.body[1 : len(good.body)-1],
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

func badForms(good call, media *openapi3.MediaType, status int) (requests []bad) {
	body := func(why, text string) {
		c := good
		c.body = text
		requests = append(requests, bad{c, why, status})
	}
	for _, kind := range []string{"application/json", "text/plain", "multipart/form-data", ";", ""} {
		requests = append(requests,
			bad{good.with("Content-Type", kind), "Content-Type " + kind, http.StatusUnsupportedMediaType})
	}
	large := good
	large.body = good.body + "&" + strings.Repeat("x", 1<<20)
	requests = append(requests, bad{large, "too large", http.StatusRequestEntityTooLarge},
		bad{good.with("Content-Encoding", "gzip"), "Content-Encoding gzip", http.StatusUnsupportedMediaType})
	body("an escape that is none", good.body+"&"+marker+"=%zz")
	body("too many fields", good.body+strings.Repeat("&"+marker, 200))
	body("an unknown field twice", good.body+"&"+marker+"=1&"+marker+"=2")
	body("JSON", `{"token":"`+marker+`"}`)
	for name, property := range media.Schema.Value.Properties {
		rest := url.Values{}
		for other, value := range media.Example.(map[string]any) {
			if other != name {
				rest.Set(other, fmt.Sprint(value))
			}
		}
		with := func(why, value string) { body(name+" "+why, rest.Encode()+"&"+name+"="+value) }
		with("twice", marker+"&"+name+"="+marker)
		with("twice, once empty", marker+"&"+name+"=")
		with("NUL", "a%00"+marker)
		with("invalid UTF-8", marker+"%ff")
		with("too long", strings.Repeat("a", int(*property.Value.MaxLength)+1))
		if slices.Contains(media.Schema.Value.Required, name) {
			with("empty", "")
			body(name+" missing", rest.Encode())
		}
	}
	return requests
}

// unfitValues returns JSON that the schema forbids.
func unfitValues(schema *openapi3.Schema) map[string]string {
	values := map[string]string{"a number": "12345678", "true": "true", "a string": `"` + marker + `"`,
		"an array": `[]`, "an object": `{"a":1}`}
	for kind, why := range map[string]string{
		openapi3.TypeString: "a string", openapi3.TypeArray: "an array", openapi3.TypeObject: "an object",
		openapi3.TypeBoolean: "true",
	} {
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
		if schema.MaxLength != nil { // which enumerations do without
			values["too long"] = asJSON(strings.Repeat("a", int(*schema.MaxLength)+1))
		}
	}
	if len(schema.Enum) > 0 {
		values["none of the words"] = `"a"`
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
