package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"

	"conduit/api"
)

// problemMedia is the media type of errors that are problems (RFC 9457).
const problemMedia = "application/problem+json"

// PreferProblems asks for errors as problems. It is a [api.RequestEditorFn] for the calls whose answers [ReadProblem]
// reads; those that parse answers themselves (…WithResponse) read errors in the default shape only.
func PreferProblems(_ context.Context, request *http.Request) error {
	request.Header.Set("Accept", problemMedia+", application/json;q=0.9")
	return nil
}

// ErrNoProblem says that an answer is no error of the contract's, in neither shape.
var ErrNoProblem = errors.New("the answer is no error of the contract's")

// mostRead is how many bytes of an error are read.
const mostRead = 1 << 20

// ReadProblem reads an answer of 4xx or 5xx, in the shape that was asked for or in the default one. A server that does
// not know problems answers in that; then the problem has neither type nor title. It closes the body.
func ReadProblem(response *http.Response) (api.Problem, error) {
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode < http.StatusBadRequest {
		return api.Problem{}, ErrNoProblem
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, mostRead))
	if err != nil {
		return api.Problem{}, fmt.Errorf("reading an error: %w", err)
	}
	problem := api.Problem{Status: response.StatusCode}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err == nil && kind == problemMedia {
		if json.Unmarshal(text, &problem) != nil {
			return api.Problem{}, ErrNoProblem
		}
		return problem, nil
	}
	var envelope api.ErrorEnvelope
	if json.Unmarshal(text, &envelope) != nil || envelope.Errors == nil {
		return api.Problem{}, ErrNoProblem
	}
	for _, field := range slices.Sorted(maps.Keys(envelope.Errors)) {
		for _, message := range envelope.Errors[field] {
			problem.Errors = append(problem.Errors, api.ProblemError{Field: field, Detail: message})
		}
	}
	return problem, nil
}

// Fields returns the messages of a problem by field, as the default shape has them.
func Fields(problem api.Problem) api.Errors {
	fields := api.Errors{}
	for _, one := range problem.Errors {
		fields[one.Field] = append(fields[one.Field], one.Detail)
	}
	return fields
}
