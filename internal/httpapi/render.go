package httpapi

import (
	"github.com/oapi-codegen/nullable"

	"conduit/api"
	"conduit/internal/conduit"
)

// userEnvelope shows callers themselves, with the token they have.
func userEnvelope(caller conduit.Caller) api.UserEnvelope {
	return api.UserEnvelope{User: api.User{
		Username: caller.User.Username,
		Email:    caller.User.Email,
		Token:    caller.Token,
		Bio:      orNull(caller.User.Bio),
		Image:    orNull(caller.User.Image),
	}}
}

// orNull shows a text that may be unset. A Nullable that is left alone would marshal as the empty string.
func orNull(text *string) nullable.Nullable[string] {
	if text == nil {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(*text)
}
