package httpapi

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"
	"pgregory.net/rapid"

	openapi "conduit"
	"conduit/api"
	"conduit/internal/contract"
)

// quick are the answers that are written quickly, by their operations.
var quick = map[string]any{
	"GetArticle": api.GetArticle200JSONResponse{}, "GetArticles": api.GetArticles200JSONResponse{},
	"GetArticlesFeed":      api.GetArticlesFeed200JSONResponse{},
	"GetArticleComments":   api.GetArticleComments200JSONResponse{},
	"GetCurrentUser":       api.GetCurrentUser200JSONResponse{},
	"GetProfileByUsername": api.GetProfileByUsername200JSONResponse{}, "GetTags": api.GetTags200JSONResponse{},
}

// TestQuickAnswersAreTheSame: what is written quickly is what package json would write, for the contract's examples and
// for whatever else the types can hold.
func TestQuickAnswersAreTheSame(t *testing.T) {
	t.Parallel()
	examples := examplesOf200(t)
	for operation, empty := range quick {
		t.Run(operation, func(t *testing.T) {
			if len(examples[operation]) == 0 {
				t.Error("the contract has no example")
			}
			for _, example := range examples[operation] {
				value := reflect.New(reflect.TypeOf(empty))
				if err := json.Unmarshal(example, value.Interface()); err != nil {
					t.Fatal(err)
				}
				sameText(t, value)
			}
			rapid.Check(t, func(r *rapid.T) {
				value := reflect.New(reflect.TypeOf(empty))
				draw(r, value.Elem())
				sameText(r, value)
			})
		})
	}
}

func sameText(t interface{ Fatalf(string, ...any) }, value reflect.Value) {
	var want bytes.Buffer
	if err := json.NewEncoder(&want).Encode(value.Interface()); err != nil {
		t.Fatalf("%v", err)
	}
	target := value.Elem()
	if got := append(encoderOf(target.Type())(nil, target), '\n'); !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("got %s\nwant %s", got, want.Bytes())
	}
}

// texts are made of what needs care: quotation marks, what HTML and JavaScript mind, control characters, broken UTF-8.
var texts = rapid.Map(rapid.SliceOf(rapid.OneOf(
	rapid.String(),
	rapid.SampledFrom([]string{
		"\"", "\\", "<&>", "\u2027\u2028\u2029\u202a", "\xff", "\xe2\x80", "\xed\xa0\x80", "\ufffd",
		"\x00\x01\b\f\n\r\t\x1f\x7f", "🦊", "plain"}))), func(pieces []string) (text string) {
	for _, piece := range pieces {
		text += piece
	}
	return text
})

// draw fills a value with whatever its type can hold.
func draw(r *rapid.T, value reflect.Value) {
	switch into := value.Addr().Interface().(type) {
	case *api.Timestamp:
		*into = api.Timestamp(time.UnixMicro(rapid.Int64Range(-1<<56, 1<<57).Draw(r, "time")).In(
			time.FixedZone("", rapid.IntRange(-50_000, 50_000).Draw(r, "zone"))))
		return
	case *nullable.Nullable[string]:
		if *into = nullable.NewNullNullable[string](); rapid.Bool().Draw(r, "present") {
			into.Set(texts.Draw(r, "nullable"))
		}
		return
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString(texts.Draw(r, "text"))
	case reflect.Bool:
		value.SetBool(rapid.Bool().Draw(r, "bool"))
	case reflect.Int, reflect.Int32, reflect.Int64:
		value.SetInt(rapid.Int64().Draw(r, "number"))
	case reflect.Slice:
		if length := rapid.IntRange(-1, 3).Draw(r, "length"); length >= 0 {
			value.Set(reflect.MakeSlice(value.Type(), length, length))
		}
		for i := range value.Len() {
			draw(r, value.Index(i))
		}
	case reflect.Struct:
		for i := range value.NumField() {
			draw(r, value.Field(i))
		}
	default:
		r.Fatalf("a %v: draw has to know it", value.Type())
	}
}

// examplesOf200 returns the examples of answers 200 in the contract, by the names of operations in Go.
func examplesOf200(t *testing.T) map[string][][]byte {
	t.Helper()
	document, err := contract.Load(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][][]byte{}
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			response := operation.Responses.Value("200")
			if response == nil || response.Value.Content.Get("application/json") == nil {
				continue
			}
			id := string(operation.OperationID[0]-'a'+'A') + operation.OperationID[1:]
			media := response.Value.Content.Get("application/json")
			values := []any{media.Example}
			for _, example := range media.Examples {
				values = append(values, example.Value.Value)
			}
			for _, value := range values {
				text, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				if value != nil {
					found[id] = append(found[id], text)
				}
			}
		}
	}
	return found
}
