package errs

// Place is a part of a request. The zero value is none.
type Place struct {
	In   In
	Name string // of a parameter or a header; in the body a JSON Pointer (RFC 6901), which is empty for all of it
}

// In says what a [Place] is a part of.
type In uint8

// The parts of a request.
const (
	InBody      In = iota + 1
	InParameter    // of the path or the query
	InHeader
)

// Detail is a message about a field, and where in the request that is. Like [Fields] it holds nothing that was sent.
type Detail struct {
	Field, Message string
	At             Place
}

// mostDetails is how many details a refusal has at most. A body may be wrong in ten thousand places.
const mostDetails = 100

// Found returns what is wrong with a request as an error of [KindInvalid], or nil if nothing is. Each field has one
// message, the first: whoever left it empty need not read that it is no email either. So has each place.
func Found(details []Detail) error {
	if len(details) == 0 {
		return nil
	}
	fields, seen := Fields{}, map[Place]bool{}
	var kept []Detail
	for _, detail := range details {
		if _, named := fields[detail.Field]; !named {
			fields.Add(detail.Field, detail.Message)
		}
		if !seen[detail.At] && len(kept) < mostDetails {
			seen[detail.At] = true
			kept = append(kept, detail)
		}
	}
	return &Error{Kind: KindInvalid, Fields: fields, Details: kept}
}
