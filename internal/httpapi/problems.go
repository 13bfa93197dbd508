package httpapi

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"conduit/api"
	"conduit/internal/errs"
)

// problemMedia is the media type of errors for those who prefer RFC 9457 to RealWorld's shape.
const problemMedia = "application/problem+json"

// problemKind is what a type of problem is called: in its URI, and in words.
type problemKind struct{ name, title string }

// problemKinds are the types of problems. They never change, since clients tell errors apart by them. The page of
// internal/docs/errors and docs/errors.md have one section for each.
var problemKinds = map[errs.Kind]problemKind{
	0:                        {"internal", "The server has a fault"},
	errs.KindInvalid:         {"invalid", "The request is not valid"},
	errs.KindUnauthenticated: {"unauthenticated", "It is not known who is asking"},
	errs.KindForbidden:       {"forbidden", "The caller may not do this"},
	errs.KindNotFound:        {"not-found", "There is no such thing"},
	errs.KindTaken:           {"taken", "Somebody else has it"},
	errs.KindConflict:        {"conflict", "It cannot be done as things are"},
	errs.KindTooMany:         {"too-many", "It was tried too often"},
	errs.KindUnavailable:     {"unavailable", "The server cannot answer just now"},
	errs.KindNoRoute:         {"no-route", "There is nothing at this path"},
	errs.KindNoMethod:        {"no-method", "The path does not have this method"},
	errs.KindMediaType:       {"media-type", "The body has a form that is not read"},
	errs.KindTooLarge:        {"too-large", "The body is too large"},
	errs.KindTooSlow:         {"too-slow", "The body came too slowly"},
	errs.KindUnreadable:      {"unreadable", "The body could not be read"},
	errs.KindStale:           {"proof-required", "Who is asking has to prove it once more"},
}

// kindShown returns the kind of an error of which only the status and the fields are known, as of an example of the
// contract.
func kindShown(status int, fields errs.Fields) errs.Kind {
	says := func(field, message string) bool { return slices.Contains(fields[field], message) }
	taken := func(messages []string) bool { return slices.Contains(messages, errs.HasBeenTaken) }
	switch {
	case says("proof", "is required"):
		return errs.KindStale
	case status == http.StatusConflict && slices.ContainsFunc(slices.Collect(maps.Values(fields)), taken):
		return errs.KindTaken
	case status == http.StatusBadRequest && !says("body", "could not be read"):
		return errs.KindInvalid // as OAuth has it
	}
	for _, kind := range []errs.Kind{errs.KindForbidden, errs.KindNotFound, errs.KindConflict} {
		if statuses[kind] == status { // which other kinds have too
			return kind
		}
	}
	for kind, other := range statuses {
		if other == status {
			return kind
		}
	}
	return 0
}

// problem shows a refusal as RFC 9457 has it. The type is a path, so that it leads to its description on this server,
// whatever its name is.
func (r *requestState) problem(status int, refusal *errs.Error) api.Problem {
	kind := problemKinds[refusal.Kind]
	problem := api.Problem{
		Type:     r.answer.prefix + "/docs/errors#" + kind.name,
		Title:    kind.title,
		Status:   status,
		Detail:   (&errs.Error{Fields: refusal.Fields}).Error(),
		Instance: "urn:x-request-id:" + r.client.RequestID,
	}
	details := refusal.Details
	if details == nil {
		for _, field := range slices.Sorted(maps.Keys(refusal.Fields)) {
			for _, message := range refusal.Fields[field] {
				details = append(details, errs.Detail{Field: field, Message: message, At: r.place(refusal.Kind, field)})
			}
		}
	}
	for _, detail := range details {
		shown := api.ProblemError{Field: detail.Field, Detail: detail.Message}
		switch detail.At.In {
		case errs.InBody:
			shown.Pointer = &detail.At.Name
		case errs.InParameter:
			shown.Parameter = detail.At.Name
		case errs.InHeader:
			shown.Header = detail.At.Name
		}
		problem.Errors = append(problem.Errors, shown)
	}
	return problem
}

// headerFields are the fields of refusals that are about a header.
var headerFields = map[string]string{"prefer": "Prefer", "idempotency-key": "Idempotency-Key"}

// place returns where in the request a field is of which only the name is known.
func (r *requestState) place(kind errs.Kind, field string) errs.Place {
	switch kind {
	case errs.KindUnauthenticated:
		if field == "token" || field == "client" {
			return errs.Place{In: errs.InHeader, Name: "Authorization"}
		}
	case errs.KindMediaType, errs.KindTooLarge, errs.KindTooSlow, errs.KindUnreadable:
		return errs.Place{In: errs.InBody}
	}
	if header := headerFields[field]; header != "" {
		return errs.Place{In: errs.InHeader, Name: header}
	}
	return r.Place(field)
}

// prefersProblem reports whether Accept (RFC 9110 §12.5.1) prefers problems to JSON. Whoever names them, with no less
// weight than JSON has, does: no other answer has that media type. A star alone stands for JSON, which most get.
func prefersProblem(accept []string) bool {
	var problem, plain preference
	for element := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		media, parameters, _ := strings.Cut(strings.ToLower(element), ";")
		quality, ok := qualityOf(parameters)
		if !ok {
			continue
		}
		switch strings.TrimSpace(media) {
		case problemMedia:
			problem.take(byName, quality)
		case "application/json":
			plain.take(byName, quality)
		case "application/*":
			problem.take(byType, quality)
			plain.take(byType, quality)
		case "*/*":
			problem.take(byStar, quality)
			plain.take(byStar, quality)
		}
	}
	if problem.named == byName && problem.quality > 0 {
		return problem.quality >= plain.quality
	}
	return problem.quality > plain.quality
}

// preference is how welcome a media type is. What names it more closely counts.
type preference struct {
	named   int
	quality float64
}

const (
	byStar = iota + 1
	byType
	byName
)

func (p *preference) take(named int, quality float64) {
	if named > p.named || named == p.named && quality > p.quality {
		p.named, p.quality = named, quality
	}
}

// qualityOf returns the weight among the parameters of a media range, which is 1 without one.
func qualityOf(parameters string) (quality float64, ok bool) {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if strings.TrimSpace(name) != "q" {
			continue
		}
		quality, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		return quality, err == nil && quality >= 0 && quality <= 1
	}
	return 1, true
}
