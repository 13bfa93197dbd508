package contract

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
)

// Script says what is to happen to a call of an operation. The zero value is what would have happened anyway. A script
// may take its time, and so delays the call.
type Script func(w http.ResponseWriter, r *http.Request, operationID string) Scripted

// Scripted is what happens to one call.
type Scripted struct {
	Status  int    // of the answer, which is its example, and the operation is not done; 0 for the real answer
	Example string // the name of the example; "" for the first by its name
	Broken  Break  // the connection is closed in place of an answer
}

// Break says when a connection is closed.
type Break string

// The breaks.
const (
	BreakBefore Break = "before" // the operation is not done
	BreakAfter  Break = "after"  // the operation is done
)

// scripted returns what answers in place of an operation's answer. A status or an example that the document does not
// have is the mistake of whoever wrote the script, see [Answers].
func (o *operation) scripted(s Scripted, answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch s.Broken {
		case BreakBefore:
			panic(http.ErrAbortHandler)
		case BreakAfter:
			answer(&unheard{header: http.Header{}, ResponseWriter: w}, r)
			panic(http.ErrAbortHandler)
		}
		made := newRehearsal(o.contract)[strconv.Itoa(s.Status)]
		name := s.Example
		if name == "" {
			name = made.first
		}
		wish := preferred{answer: &made, body: made.examples[name]}
		shown := func(w http.ResponseWriter, r *http.Request) { wish.write(w, r, o.host) }
		if o.tagged {
			shown = o.conditional(shown)
		}
		shown(w, r)
	}
}

// unheard takes an answer that nobody gets.
type unheard struct {
	http.ResponseWriter
	header http.Header
}

func (u *unheard) Header() http.Header { return u.header }

func (u *unheard) WriteHeader(int) {}

func (u *unheard) Write(text []byte) (int, error) { return len(text), nil }

// FlushError ends answers that are streamed. [http.ResponseController] calls it.
func (u *unheard) FlushError() error { return context.Canceled }

// Unwrap lets http.ResponseController through to the connection's deadlines.
func (u *unheard) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// Answers returns the answers that a document has for each operation: the names of the examples, by the status. An
// example without a name is no row of its own.
func Answers(document *Document) map[string]map[int][]string {
	found := map[string]map[int][]string{}
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			found[operation.OperationID] = answersOf(operation)
		}
	}
	return found
}

func answersOf(operation *openapi3.Operation) map[int][]string {
	answers := map[int][]string{}
	for _, answer := range newRehearsal(operation) {
		names := slices.Sorted(maps.Keys(answer.examples))
		answers[answer.status] = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	}
	return answers
}
