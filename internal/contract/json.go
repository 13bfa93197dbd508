package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"conduit/internal/errs"
)

// maxDepth is how deep a text may nest; the contract's own bodies nest four deep.
const maxDepth = 32

// whole is the field for problems with the body as a whole.
const whole = "body"

// Messages about texts, which the check of parameters shares.
const (
	notUnicode = "is not valid Unicode"
	notAllowed = "contains characters that are not allowed"
)

// bounds keep a value from taking much more memory than its text: an element of two bytes may take fifty. Zero means no
// bound.
type bounds struct {
	// items is how many elements the array of a member may have, by the name of the member. More are not decoded: one
	// nil stands for them, so that a check of the length finds one too many.
	items map[string]int
	// values is how many values the text may have, those within others included.
	values int
}

// decode decodes one JSON text, by the letter of RFC 8259. It refuses what parsers disagree about, since a proxy in
// front or a log behind may read it the other way: duplicate members, invalid UTF-8, lone surrogates, text after the
// end. It also refuses what no API sends: NUL, and nesting without end.
//
// The value consists of nil, bool, json.Number, string, []any and map[string]any. Each problem is a message under the
// name of the member at fault, or under "body", and holds nothing of the text. What is wrong with the whole is the
// first. If there are problems, there is no value.
//
// Of two problems of one member in one place the first counts. What the place is, locate says, from the names and
// indices on the way to it; without locate all is one place.
func decode(data []byte, bounds bounds, locate locate) (value any, problems []errs.Detail) {
	d := decoding{
		// Invalid UTF-8 is let through here and found when the string is unquoted, where the member is known.
		decoder: jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowInvalidUTF8(true)),
		bounds:  bounds,
		locate:  locate,
		noted:   map[errs.Detail]bool{},
	}
	value, err := d.value(whole)
	if err == nil {
		if _, end := d.decoder.ReadToken(); !errors.Is(end, io.EOF) {
			err = errTrailing
		}
	}
	message := ""
	switch {
	case len(data) == 0:
		message = errs.Blank
	case errors.Is(err, errTrailing), errors.Is(err, errTooDeep), errors.Is(err, errTooMany):
		message = err.Error()
	case errors.Is(err, jsontext.ErrDuplicateName):
		message = "has a member twice"
	case err != nil:
		message = "is not valid JSON"
	}
	if message != "" {
		d.path = nil
		d.problems = append([]errs.Detail{d.detail(whole, message)}, d.problems...)
	}
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	return value, nil
}

var (
	errTrailing = errors.New("has text after its end")
	errTooDeep  = errors.New("is nested too deeply")
	errTooMany  = errors.New("has too many values")
)

type decoding struct {
	decoder  *jsontext.Decoder
	bounds   bounds
	locate   locate
	path     []string // to the value that is decoded
	values   int      // so far
	problems []errs.Detail
	noted    map[errs.Detail]bool
}

// locate returns under which field a problem is reported, and where the contract has that. The client made up the names
// that it does not have, so there may be any number of them, and of any length.
type locate func(path []string, field string) (known string, at errs.Place)

// value decodes the next value, which belongs to field. The library's Unmarshal would bound neither items nor values,
// and stop at the first bad text.
func (d *decoding) value(field string) (any, error) {
	if d.decoder.StackDepth() > maxDepth {
		return nil, errTooDeep
	}
	if d.values++; d.values > d.bounds.values && d.bounds.values > 0 {
		return nil, errTooMany
	}
	if d.decoder.PeekKind() == '"' {
		return d.text(field)
	}
	token, err := d.decoder.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '{':
		return d.object()
	case '[':
		return d.array(field)
	case '0':
		return number(token.String()), nil
	case 'n':
		return nil, nil
	}
	return token.Bool(), nil
}

// number returns a number as it was written, but for one that is whole: JSON Schema takes 1.0 and 1e2 for integers, and
// the generated code decodes neither into one.
func number(text string) json.Number {
	if strings.ContainsAny(text, ".eE") {
		value, err := strconv.ParseFloat(text, 64)
		if err == nil && value == math.Trunc(value) && math.Abs(value) <= 1<<53 { // each of which is itself
			return json.Number(strconv.FormatInt(int64(value), 10))
		}
	}
	return json.Number(text)
}

func (d *decoding) object() (any, error) {
	object := map[string]any{}
	for d.decoder.PeekKind() != '}' {
		name, err := d.text(whole)
		if err != nil {
			return nil, err
		}
		d.path = append(d.path, name)
		if object[name], err = d.value(name); err != nil {
			return nil, err
		}
		d.path = d.path[:len(d.path)-1]
	}
	_, err := d.decoder.ReadToken()
	return object, err
}

func (d *decoding) array(field string) (any, error) {
	array := []any{}
	limit, bounded := d.bounds.items[field]
	for d.decoder.PeekKind() != ']' {
		var element any
		var err error
		if bounded && len(array) >= limit {
			array, err = array[:limit], d.decoder.SkipValue()
		} else {
			d.path = append(d.path, strconv.Itoa(len(array)))
			element, err = d.value(field)
			d.path = d.path[:len(d.path)-1]
		}
		if err != nil {
			return nil, err
		}
		array = append(array, element)
	}
	_, err := d.decoder.ReadToken()
	return array, err
}

// text decodes a string, and notes against field what no string may hold.
func (d *decoding) text(field string) (string, error) {
	quoted, err := d.decoder.ReadValue()
	if err != nil {
		return "", err
	}
	text, err := jsontext.AppendUnquote(nil, quoted)
	switch {
	case err != nil:
		d.note(field, notUnicode)
	case bytes.IndexByte(text, 0) >= 0:
		d.note(field, notAllowed)
	}
	return string(text), nil
}

func (d *decoding) note(field, message string) {
	detail := d.detail(field, message)
	if !d.noted[detail] {
		d.noted[detail] = true
		d.problems = append(d.problems, detail)
	}
}

func (d *decoding) detail(field, message string) errs.Detail {
	detail := errs.Detail{Field: field, Message: message}
	if d.locate != nil {
		detail.Field, detail.At = d.locate(d.path, field)
	}
	return detail
}
