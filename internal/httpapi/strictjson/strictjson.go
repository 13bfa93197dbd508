// Package strictjson decodes JSON by the letter of RFC 8259.
//
// It refuses what parsers disagree about, since a proxy in front or a log behind may read it the other way: duplicate
// members, invalid UTF-8, lone surrogates, text behind the end; and what no text of Conduit's holds: NUL, and nesting
// without end. It knows nothing of schemas or of HTTP, and is a package of its own so that fuzzing it builds in
// seconds.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep a text may nest; the contract's own bodies nest four deep.
const maxDepth = 32

// Whole is the field of problems with the text as a whole.
const Whole = "body"

// Messages about texts, which the check of parameters shares.
const (
	NotUnicode = "is not valid Unicode"
	NotAllowed = "contains characters that are not allowed"
)

// Bounds keep a value from taking much more memory than its text: an element of two bytes may take fifty. A zero bound
// is none.
type Bounds struct {
	// Items is how many elements the array of a member may have, by the name of the member. What is beyond is not
	// decoded: one nil stands for it, so that whoever checks the length sees that it is too much.
	Items map[string]int
	// Values is how many values the text may have, those within others included.
	Values int
}

// Decode decodes one JSON text into nil, bool, json.Number, string, []any and map[string]any. Problems are messages by
// the name of the member at fault, or by [Whole]; none holds any of the text. With problems there is no value.
func Decode(data []byte, bounds Bounds) (value any, problems map[string]string) {
	d := decoding{
		// Invalid UTF-8 is let through here and found when the string is unquoted, where the member is known.
		decoder:  jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowInvalidUTF8(true)),
		bounds:   bounds,
		problems: map[string]string{},
	}
	value, err := d.value(0, Whole)
	if err == nil {
		if _, end := d.decoder.ReadToken(); !errors.Is(end, io.EOF) {
			err = errTrailing
		}
	}
	switch {
	case len(data) == 0:
		d.problems[Whole] = "can't be blank"
	case errors.Is(err, errTrailing), errors.Is(err, errTooDeep), errors.Is(err, errTooMany):
		d.problems[Whole] = err.Error()
	case errors.Is(err, jsontext.ErrDuplicateName):
		d.problems[Whole] = "has a member twice"
	case err != nil:
		d.problems[Whole] = "is not valid JSON"
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
	bounds   Bounds
	values   int // so far
	problems map[string]string
}

// value decodes the next value, which belongs to field.
func (d *decoding) value(depth int, field string) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	if d.values++; d.values > d.bounds.Values && d.bounds.Values > 0 {
		return nil, errTooMany
	}
	switch d.decoder.PeekKind() {
	case '{':
		return d.object(depth)
	case '[':
		return d.array(depth, field)
	case '"':
		return d.text(field)
	case '0':
		number, err := d.decoder.ReadValue()
		return json.Number(number), err
	}
	token, err := d.decoder.ReadToken()
	switch {
	case err != nil:
		return nil, err
	case token.Kind() == 'n':
		return nil, nil
	}
	return token.Bool(), nil
}

func (d *decoding) object(depth int) (any, error) {
	if _, err := d.decoder.ReadToken(); err != nil {
		return nil, err
	}
	object := map[string]any{}
	for d.decoder.PeekKind() != '}' {
		name, err := d.text(Whole)
		if err != nil {
			return nil, err
		}
		if object[name], err = d.value(depth+1, name); err != nil {
			return nil, err
		}
	}
	_, err := d.decoder.ReadToken()
	return object, err
}

func (d *decoding) array(depth int, field string) (any, error) {
	if _, err := d.decoder.ReadToken(); err != nil {
		return nil, err
	}
	array := []any{}
	limit, bounded := d.bounds.Items[field]
	for d.decoder.PeekKind() != ']' {
		if bounded && len(array) >= limit {
			if err := d.decoder.SkipValue(); err != nil {
				return nil, err
			}
			array = append(array[:limit], nil)
			continue
		}
		element, err := d.value(depth+1, field)
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
		d.problems[field] = NotUnicode
	case bytes.IndexByte(text, 0) >= 0:
		d.problems[field] = NotAllowed
	}
	return string(text), nil
}
