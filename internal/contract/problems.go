package contract

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/errs"
)

// problem is something that is wrong with a value.
type problem struct {
	field   string
	path    []string // names and indices, from the whole value
	message string
}

// problems turns what the validator found into our own words. The validator's words are never shown, since they hold
// the value and the schema. A field is the last name of its JSON pointer. A problem with an element of an array belongs
// to the array, and its message says which element it is. The document as a whole is root.
func problems(err error, root string) []problem {
	found := collect(nil, err, root)
	slices.SortStableFunc(found, func(a, b problem) int { return slices.Compare(a.path, b.path) })
	return found
}

func collect(found []problem, err error, root string) []problem {
	switch err := err.(type) { //nolint:errorlint // the validator nests plainly, and As would stop at the first
	case openapi3.MultiError:
		for _, one := range err {
			found = collect(found, one, root)
		}
		return found
	case *openapi3.SchemaError:
		path := err.JSONPointer()
		field, which := root, ""
		for _, name := range path {
			if index, notIndex := strconv.Atoi(name); notIndex != nil {
				field, which = name, ""
			} else {
				which = errs.Item(index)
			}
		}
		return append(found, problem{field, path, which + message(err)})
	}
	return append(found, problem{root, nil, "is not valid"})
}

// message says what is wrong, in the words of RealWorld where it has some. It never holds the value.
func message(err *openapi3.SchemaError) string {
	schema := err.Schema
	switch err.SchemaField {
	case "required", "nullable":
		return errs.Blank
	case "minLength":
		if err.Value == "" {
			return errs.Blank
		}
		return errs.TooShort(int(schema.MinLength))
	case "maxLength":
		return errs.TooLong(int(*schema.MaxLength))
	case "pattern":
		if words, ok := schema.Extensions["x-pattern-message"].(string); ok {
			return words
		}
	case "maxItems":
		return fmt.Sprintf("has too many items (maximum is %d)", *schema.MaxItems)
	case "minimum":
		return fmt.Sprintf("is too small (minimum is %.0f)", *schema.Min)
	case "maximum":
		return fmt.Sprintf("is too large (maximum is %.0f)", *schema.Max)
	case "format":
		if schema.Type.Is(openapi3.TypeInteger) { // int32, int64: the validator looks at these first
			return outOfRange
		}
	case "type":
		if types := schema.Type.Slice(); len(types) == 1 {
			return "must be " + withArticle[types[0]]
		}
	}
	return "is not valid"
}

const (
	outOfRange = "is out of range"
	givenTwice = "is given more than once"
)

var withArticle = map[string]string{
	"object": "an object", "array": "an array", "string": "a string",
	"integer": "an integer", "number": "a number", "boolean": "true or false",
}
