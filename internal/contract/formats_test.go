package contract_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// notes is a contract with all that newer versions of OpenAPI say in other words, beside what only looks like that.
const notes = `openapi: 3.0.3
info:
  title: Notes
  version: 0.0.0
servers:
  - url: /v1
paths:
  /schema:
    get:
      parameters: [{name: q, in: query, example: {nullable: true}, schema: {type: string, nullable: true}}]
      responses:
        "200":
          description: it
          content:
            application/json: {schema: {$ref: "#/components/schemas/Note"}, examples: {a: {value: {example: 1}}}}
            text/event-stream: {schema: {type: string}, x-event-schema: {$ref: "#/components/schemas/Note"},
              example: "id: 1\n"}
        "201":
          description: made
          content:
            text/event-stream: {x-event-schema: {type: string, nullable: true},
              examples: {a: {value: "id: 2\n"}, b: {$ref: "#/components/examples/b"}}}
components:
  schemas:
    Note:
      type: object
      additionalProperties: {type: integer, nullable: true, enum: [1, 2]}
      properties:
        nullable: {type: boolean, nullable: false, example: true}
        example: {type: array, nullable: true, items: {oneOf: [{type: string, example: [x]}]}}
      x-note: {example: 1}
      example: {example: null}
`

// TestFormats: what newer versions of OpenAPI say otherwise is said so, in the same order, and nothing else changes.
func TestFormats(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.MountDocument([]byte(notes), "https://notes.test")
	note := `{"type":"object","additionalProperties":{"type":["integer","null"],"enum":[1,2,null]},` +
		`"properties":{"nullable":{"type":"boolean","examples":[true]},` +
		`"example":{"type":["array","null"],"items":{"oneOf":[{"type":"string","examples":[["x"]]}]}}},` +
		`"x-note":{"example":1},"examples":[{"example":null}]}`
	streams := map[string][2]string{
		"3.1": {
			`"schema":{"type":"string"},"x-event-schema":{"$ref":"#/components/schemas/Note"},"example":"id: 1\n"`,
			`"x-event-schema":{"type":"string","nullable":true},` +
				`"examples":{"a":{"value":"id: 2\n"},"b":{"$ref":"#/components/examples/b"}}`,
		},
		"3.2": {
			itemSchema(`{"$ref":"#/components/schemas/Note"}`) + `,"examples":{"events":{"serializedValue":"id: 1\n"}}`,
			itemSchema(`{"type":["string","null"]}`) +
				`,"examples":{"a":{"serializedValue":"id: 2\n"},"b":{"$ref":"#/components/examples/b"}}`,
		},
	}
	for version, begin := range map[string]string{
		"3.1": `"openapi":"3.1.1","jsonSchemaDialect":"https://spec.openapis.org/oas/3.1/dialect/base"`,
		"3.2": `"openapi":"3.2.0"`,
	} {
		want := `{` + begin + `,"info":{"title":"Notes","version":"1"},"servers":[{"url":"https://notes.test/v1"}],` +
			`"paths":{"/schema":{"get":{"parameters":[{"name":"q","in":"query","example":{"nullable":true},` +
			`"schema":{"type":["string","null"]}}],"responses":{"200":{"description":"it","content":{` +
			`"application/json":{"schema":{"$ref":"#/components/schemas/Note"},` +
			`"examples":{"a":{"value":{"example":1}}}},"text/event-stream":{` + streams[version][0] + `}}},` +
			`"201":{"description":"made","content":{"text/event-stream":{` + streams[version][1] + `}}}}}}},` +
			`"components":{"schemas":{"Note":` + note + `}}}`
		got := s.do(t, "GET", "/openapi-"+version+".json", "")
		if diff := cmp.Diff(indented(t, want), indented(t, got.Body.String())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", version, diff)
		}
		again := s.do(t, "GET", "/openapi-"+version+".json", "", "If-None-Match", got.Header().Get("ETag"))
		if again.Code != 304 {
			t.Errorf("again: %s", said(again))
		}
	}
}

// itemSchema is what OpenAPI 3.2 says of a stream whose events have such data.
func itemSchema(data string) string {
	return `"itemSchema":{"type":"object","required":["event","data"],"properties":{"id":{"type":"string"},` +
		`"event":{"type":"string"},"data":{"type":"string","contentMediaType":"application/json","contentSchema":` +
		data + `},"retry":{"type":"integer","minimum":0}}}`
}

// indented returns a JSON text a member a line, in its order.
func indented(t *testing.T, text string) string {
	t.Helper()
	var written strings.Builder
	encoder := json.NewEncoder(&written)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(json.RawMessage(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return written.String()
}
