package contract

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// eventMedia is the media type of server-sent events (HTML Standard §9.2).
const eventMedia = "text/event-stream"

// eventSchema returns the schema of each event that an answer of an operation streams; nil if it streams none. OpenAPI
// before 3.2 has no word for it, so the media type has an extension, x-event-schema, with a reference.
func eventSchema(document *openapi3.T, operation *openapi3.Operation) *openapi3.Schema {
	good := operation.Responses.Value(strconv.Itoa(http.StatusOK))
	if good == nil || good.Value.Content[eventMedia] == nil {
		return nil
	}
	const prefix = "#/components/schemas/"
	reference, _ := good.Value.Content[eventMedia].Extensions[eventExtension].(map[string]any)
	name, _ := reference["$ref"].(string)
	schema := document.Components.Schemas[strings.TrimPrefix(name, prefix)]
	if schema == nil || !strings.HasPrefix(name, prefix) {
		panic(fmt.Sprintf("contract: %s streams events without %s", operation.OperationID, eventExtension))
	}
	return schema.Value
}

// eventCheck holds a stream of events to their schema while it goes out. It keeps no more than one event.
type eventCheck struct {
	schema     *openapi3.Schema
	line       []byte // as far as it has come
	id, kind   string
	data       []byte
	some, told bool  // whether there is a data line; whether there was an id before
	err        error // the first fault
}

// of returns the check of a recorded answer's body, or nil if that is no stream of events.
func (c *eventCheck) of(header http.Header) *eventCheck {
	if kind, _, err := mime.ParseMediaType(header.Get("Content-Type")); c == nil || err != nil || kind != eventMedia {
		return nil
	}
	return c
}

func (c *eventCheck) write(text []byte) {
	for c.err == nil {
		piece, rest, whole := bytes.Cut(text, []byte("\n"))
		if c.line = append(c.line, piece...); !whole {
			return
		}
		c.err = c.field(string(c.line))
		c.line, text = c.line[:0], rest
	}
}

// field takes one line.
func (c *eventCheck) field(line string) error {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch {
	case line == "":
		return c.dispatch()
	case name == "": // a comment
	case name == "id" && value != "":
		c.id, c.told = value, true
	case name == "event":
		c.kind = value
	case name == "data" && !c.some:
		c.data, c.some = []byte(value), true
	case name == "retry":
		if _, err := strconv.ParseUint(value, 10, 32); err != nil {
			return errors.New("a retry line of the stream is no number")
		}
	default:
		return errors.New("the stream has a line that it should not have")
	}
	return nil
}

// dispatch checks the event that an empty line ends.
func (c *eventCheck) dispatch() error {
	kind, data, some := c.kind, c.data, c.some
	c.kind, c.data, c.some = "", nil, false
	switch {
	case !some && kind == "":
		return nil
	case !some || kind == "":
		return errors.New("an event has no data, or no name")
	case !c.told:
		return errors.New("an event comes before the first id")
	}
	value, problems := decode(data, bounds{}, nil)
	if len(problems) > 0 {
		return errors.New("the data of an event are not JSON")
	}
	if members, ok := value.(map[string]any); !ok || members["type"] != kind {
		return errors.New("an event and its data are of different types")
	}
	return withoutValues(c.schema.VisitJSON(value,
		openapi3.MultiErrors(), openapi3.VisitAsResponse(), openapi3.EnableFormatValidation()))
}
