package contract

import (
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/errs"
)

// places are where the requests of an operation have the fields that refusals name.
type places map[string]errs.Place

// placesOf returns the places of an operation: what is in the body, the parameters, and what these name (x-not-found).
// Of members with one name the one that is nested least counts. The member around all others is no field.
func placesOf(body *bodyRules, parameters []*openapi3.Parameter) places {
	p := places{}
	if body != nil {
		p.addMembers([]inBody{{schema: body.schema}})
		for name, property := range body.schema.Properties {
			if len(property.Value.Properties) > 0 {
				delete(p, name)
			}
		}
		p.add(whole, errs.Place{In: errs.InBody})
	}
	for _, parameter := range parameters {
		p.add(parameter.Name, parameterPlace(parameter))
	}
	for _, parameter := range parameters {
		if noun, ok := parameter.Extensions["x-not-found"].(string); ok {
			p[noun] = parameterPlace(parameter) // of several the last, which names what the others only lead to
		}
	}
	return p
}

func (p places) add(field string, place errs.Place) {
	if _, known := p[field]; !known {
		p[field] = place
	}
}

// inBody is a part of a body.
type inBody struct {
	schema  *openapi3.Schema
	pointer string
}

// addMembers adds the members of these parts, and then those within them. Where two of them have one name, nobody knows
// which is meant.
func (p places) addMembers(parts []inBody) {
	members := map[string][]inBody{}
	var next []inBody
	for _, part := range parts {
		for name, property := range part.schema.Properties {
			member := inBody{property.Value, part.pointer + "/" + escapedName.Replace(name)}
			members[name], next = append(members[name], member), append(next, member)
		}
	}
	for name, same := range members {
		if len(same) == 1 {
			p.add(name, errs.Place{In: errs.InBody, Name: same[0].pointer})
		} else {
			p.add(name, errs.Place{})
		}
	}
	if len(next) > 0 {
		p.addMembers(next)
	}
}

// escapedName escapes a name for a JSON Pointer (RFC 6901 §3).
var escapedName = strings.NewReplacer("~", "~0", "/", "~1")

// placeIn returns where in a body something is, as far as the contract has names for it. A client made up any other
// name, and answers repeat nothing that was sent.
func placeIn(schema *openapi3.Schema, names []string) errs.Place {
	var pointer strings.Builder
	for _, name := range names {
		_, notIndex := strconv.Atoi(name)
		property := schema.Properties[name]
		switch {
		case property != nil:
			schema = property.Value
		case schema.Items != nil && notIndex == nil:
			schema = schema.Items.Value
		default:
			return errs.Place{In: errs.InBody, Name: pointer.String()}
		}
		pointer.WriteString("/" + escapedName.Replace(name))
	}
	return errs.Place{In: errs.InBody, Name: pointer.String()}
}

func parameterPlace(parameter *openapi3.Parameter) errs.Place {
	if parameter.In == openapi3.ParameterInHeader {
		return errs.Place{In: errs.InHeader, Name: parameter.Name}
	}
	return errs.Place{In: errs.InParameter, Name: parameter.Name}
}
