package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/errs"
)

const maxWait = 30 * time.Second // the longest delay that a request may ask for

// rehearsal shows a front end any answer that the contract has for an operation, from the server that it will use
// later. A request says what it wants in Prefer (RFC 7240), in the words of other mock servers: code=422 for the
// documented example of that status, example=NAME for another example than the first, wait=2 for a delay in seconds,
// even before a real answer.
//
// It has the answers of one operation by their codes.
type rehearsal map[string]rehearsedAnswer

// rehearsedAnswer is what the contract shows of one status.
type rehearsedAnswer struct {
	status   int
	headers  map[string]string
	kind     string         // the media type of the body
	examples map[string]any // bodies, by name; none where there is no body
	first    string         // the name of the example that is meant when none is named
}

func newRehearsal(contract *openapi3.Operation) rehearsal {
	r := rehearsal{}
	for code, response := range contract.Responses.Map() {
		status, err := strconv.Atoi(code)
		if err != nil {
			panic(fmt.Sprintf("openapi.yaml: %s has an answer that is no status: %s", contract.OperationID, code))
		}
		answer := rehearsedAnswer{status: status, headers: map[string]string{}, examples: map[string]any{}}
		for name, header := range response.Value.Headers {
			if status < http.StatusBadRequest || header.Value.Required {
				answer.headers[name] = fmt.Sprint(header.Value.Example)
			}
		}
		if kind, media := mediaOf(response.Value); media != nil {
			answer.kind = kind
			if media.Example != nil {
				answer.examples[""] = media.Example
			}
			for name, example := range media.Examples {
				answer.examples[name] = example.Value.Value
			}
			answer.first = slices.Min(slices.Collect(maps.Keys(answer.examples)))
		}
		r[code] = answer
	}
	return r
}

// preferred is what a request asks of a rehearsal, after it was read.
type preferred struct {
	answer *rehearsedAnswer // nil: the real one
	body   any              // nil: none
	wait   time.Duration
	words  []string // for Preference-Applied
}

// read returns what the request prefers. The error is Invalid and lists what there is. Preferences with other names
// are ignored (RFC 7240 §2).
func (r rehearsal) read(headers []string) (preferred, error) {
	var p preferred
	wanted := preferences(headers)
	if code, asked := wanted["code"]; asked {
		answer, found := r[code]
		if !found {
			return p, errs.Invalid("prefer", "has no such code; this operation has "+list(r))
		}
		p.answer, p.words = &answer, append(p.words, "code="+code)
		name := answer.first
		if example, asked := wanted["example"]; asked {
			if _, found := answer.examples[example]; !found || example == "" {
				return p, errs.Invalid("prefer", "has no such example; this status has "+list(answer.examples))
			}
			name, p.words = example, append(p.words, "example="+example)
		}
		p.body = answer.examples[name]
	} else if _, asked := wanted["example"]; asked {
		return p, errs.Invalid("prefer", "has an example without a code")
	}
	if text, asked := wanted["wait"]; asked {
		seconds, err := strconv.ParseUint(text, 10, 16)
		if p.wait = time.Duration(seconds) * time.Second; err != nil || p.wait > maxWait {
			return p, errs.Invalid("prefer", fmt.Sprintf("has a wait that is not 0 to %.0f seconds", maxWait.Seconds()))
		}
		p.words = append(p.words, "wait="+text)
	}
	return p, nil
}

// list returns what there is, in order, as one text.
func list[V any](there map[string]V) string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(there)), func(name string) bool { return name == "" })
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

var (
	// preference is an element of Prefer: what stands between commas, unless those are quoted.
	preference = regexp.MustCompile(`(?:[^,"]|"(?:[^"\\]|\\.)*")+`)
	// preferenceValue is the name and the value, in quotes or not, before any parameters.
	preferenceValue = regexp.MustCompile(`^\s*([^\s=;"]+)\s*(?:=\s*"?([^\s;"]*)"?)?\s*(?:;|$)`)
)

// preferences returns what Prefer says (RFC 7240 §2): names in lower case, with their values. If a name is there
// twice, the first counts.
func preferences(headers []string) map[string]string {
	found := map[string]string{}
	for _, element := range preference.FindAllString(strings.Join(headers, ","), -1) {
		parts := preferenceValue.FindStringSubmatch(element)
		if parts == nil {
			continue
		}
		name := strings.ToLower(parts[1])
		if _, twice := found[name]; !twice {
			found[name] = parts[2]
		}
	}
	return found
}

// hold waits for as long as the request prefers, or until the server stops. It moves the server's deadline for
// reading a request, which would end the request meanwhile.
func (p preferred) hold(w http.ResponseWriter, r *http.Request, config Config) error {
	if p.wait == 0 {
		return nil
	}
	// It fails in tests, whose recorders have no deadlines.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(p.wait + config.BodyTime))
	select {
	case <-time.After(p.wait):
	case <-config.Stopping:
	case <-r.Context().Done():
		return context.Cause(r.Context())
	}
	return nil
}

// write answers as an operation would. Errors have the usual shape and headers, other answers those of the contract.
func (p preferred) write(w http.ResponseWriter, r *http.Request, host Host) {
	for name, value := range p.answer.headers {
		w.Header().Set(name, value)
	}
	if p.answer.status >= http.StatusBadRequest {
		host.Refuse(w, r, p.answer.status, exampleFields(p.body)) // which knows some of the headers better
		return
	}
	if p.body == nil {
		w.WriteHeader(p.answer.status)
		return
	}
	text, plain := p.body.(string)
	if !plain || p.answer.kind == jsonMedia {
		encoded, err := json.Marshal(p.body)
		if err != nil {
			panic(err) // it was read from YAML
		}
		text = string(encoded)
	}
	w.Header().Set("Content-Type", p.answer.kind)
	w.WriteHeader(p.answer.status)
	_, _ = io.WriteString(w, text) // fails when the client has gone
}

// exampleFields returns the fields of an example of an error.
func exampleFields(example any) errs.Fields {
	var body struct{ Errors errs.Fields }
	text, err := json.Marshal(example)
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		panic(fmt.Errorf("openapi.yaml has an error example of another shape: %w", err))
	}
	return body.Errors
}
