package contract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// format is a version of OpenAPI after 3.0, in which the document is served too. Tools for 3.1 and 3.2 read a schema as
// JSON Schema 2020-12, where 3.0 has words of its own: nullable and example. What the document says stays the same.
type format struct {
	path    string
	version string
	// dialect is the URI of what a schema may say, which is what the version takes for granted. That of 3.2 goes by
	// several URIs among validators, so it is left out.
	dialect string
	// streams says what each event of a stream is, which 3.0 and 3.1 have no word for: the extension x-event-schema.
	streams bool
}

// formats are those that are served beside 3.0, newest last.
var formats = []format{
	{path: "/openapi-3.1.json", version: "3.1.1", dialect: "https://spec.openapis.org/oas/3.1/dialect/base"},
	{path: "/openapi-3.2.json", version: "3.2.0", streams: true},
}

// eventExtension is the member of a stream's media type that has the schema of an event's data.
const eventExtension = "x-event-schema"

// write returns a document of OpenAPI 3.0 in the format, as JSON, in the order of the file.
func (f format) write(inYAML []byte) []byte {
	var document yaml.MapSlice
	err := yaml.UnmarshalWithOptions(inYAML, &document, yaml.UseOrderedMap())
	if err != nil {
		panic(fmt.Errorf("openapi.yaml was read at the start: %w", err))
	}
	made := yaml.MapSlice{{Key: "openapi", Value: f.version}}
	if f.dialect != "" {
		made = append(made, yaml.MapItem{Key: "jsonSchemaDialect", Value: f.dialect})
	}
	for _, member := range f.node(document).(yaml.MapSlice) {
		if member.Key != "openapi" {
			made = append(made, member)
		}
	}
	text, err := yaml.MarshalWithOptions(made, yaml.JSON())
	if err != nil {
		panic(fmt.Errorf("openapi.yaml cannot be written as JSON: %w", err))
	}
	return text
}

// node returns a part of the document that is no schema, with the schemas in it converted.
func (f format) node(node any) any {
	switch node := node.(type) {
	case []any:
		made := make([]any, len(node))
		for i, element := range node {
			made[i] = f.node(element)
		}
		return made
	case yaml.MapSlice:
		made := make(yaml.MapSlice, 0, len(node))
		for _, member := range node {
			switch name := fmt.Sprint(member.Key); {
			case name == "schema":
				member.Value = schema(member.Value)
			case name == "schemas":
				member.Value = each(member.Value, schema)
			case name == "text/event-stream" && f.streams:
				member.Value = stream(member.Value)
			case name != "example" && name != "examples" && !strings.HasPrefix(name, "x-"): // those are data
				member.Value = f.node(member.Value)
			}
			made = append(made, member)
		}
		return made
	}
	return node
}

// schema returns a schema of OpenAPI 3.0 as one of JSON Schema 2020-12.
func schema(node any) any {
	members, isObject := node.(yaml.MapSlice)
	if !isObject {
		return node // additionalProperties may be true or false
	}
	nullable := false
	for _, member := range members {
		nullable = nullable || member.Key == "nullable" && member.Value == true
	}
	made := make(yaml.MapSlice, 0, len(members))
	for _, member := range members {
		switch member.Key {
		case "nullable":
			continue
		case "type":
			if nullable {
				member.Value = []any{member.Value, "null"}
			}
		case "enum":
			if values, _ := member.Value.([]any); nullable {
				member.Value = slices.Concat(values, []any{nil})
			}
		case "example":
			member = yaml.MapItem{Key: "examples", Value: []any{member.Value}}
		case "properties":
			member.Value = each(member.Value, schema)
		case "items", "additionalProperties", "not":
			member.Value = schema(member.Value)
		case "allOf", "anyOf", "oneOf":
			member.Value = each(member.Value, schema)
		}
		made = append(made, member)
	}
	return made
}

// each returns a list or an object with each of its values converted.
func each(node any, convert func(any) any) any {
	switch node := node.(type) {
	case []any:
		made := make([]any, len(node))
		for i, value := range node {
			made[i] = convert(value)
		}
		return made
	case yaml.MapSlice:
		made := make(yaml.MapSlice, len(node))
		for i, member := range node {
			made[i] = yaml.MapItem{Key: member.Key, Value: convert(member.Value)}
		}
		return made
	}
	return node
}

// stream returns the media type of an event stream as OpenAPI 3.2 has it. A schema of the whole is one of all events in
// a row there, so itemSchema takes its place. Examples are what is sent, byte for byte.
func stream(node any) any {
	members, _ := node.(yaml.MapSlice)
	made := make(yaml.MapSlice, 0, len(members))
	for _, member := range members {
		switch member.Key {
		case "schema":
			continue
		case eventExtension:
			member = yaml.MapItem{Key: "itemSchema", Value: event(schema(member.Value))}
		case "example":
			member = yaml.MapItem{Key: "examples", Value: yaml.MapSlice{{Key: "events", Value: sent(member.Value)}}}
		case "examples":
			member.Value = each(member.Value, func(example any) any {
				members, _ := example.(yaml.MapSlice)
				for _, member := range members {
					if member.Key == "value" {
						return sent(member.Value)
					}
				}
				return example // a reference
			})
		}
		made = append(made, member)
	}
	return made
}

func sent(text any) yaml.MapSlice { return yaml.MapSlice{{Key: "serializedValue", Value: text}} }

// event returns the schema of one event whose data is JSON.
func event(data any) yaml.MapSlice {
	text := yaml.MapSlice{{Key: "type", Value: "string"}}
	return yaml.MapSlice{
		{Key: "type", Value: "object"},
		{Key: "required", Value: []any{"event", "data"}},
		{Key: "properties", Value: yaml.MapSlice{
			{Key: "id", Value: text},
			{Key: "event", Value: text},
			{Key: "data", Value: yaml.MapSlice{
				{Key: "type", Value: "string"},
				{Key: "contentMediaType", Value: "application/json"},
				{Key: "contentSchema", Value: data},
			}},
			{Key: "retry", Value: yaml.MapSlice{{Key: "type", Value: "integer"}, {Key: "minimum", Value: 0}}},
		}},
	}
}
