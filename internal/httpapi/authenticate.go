package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

const (
	missingToken          = "is missing"
	invalidTokenChallenge = `Bearer realm="conduit", error="invalid_token"`
)

// tokenRefused reports whether an error is a refusal of the token, and returns its message.
func tokenRefused(err error) (message string, ok bool) {
	refusal, ok := errors.AsType[*errs.Error](err)
	if !ok || refusal.Kind != errs.KindUnauthenticated {
		return "", false
	}
	return refusal.Fields["token"][0], true
}

// authenticated returns the caller whom the request's token names. The error is Unauthenticated if there is no token or
// a bad one, and another if it could not be checked. A token in the query or in a cookie does not count: RFC 6750 §2.3
// warns of the first, and the second would allow cross-site request forgery.
func authenticated(r *http.Request, users *identity.Users) (identity.Caller, error) {
	token, err := bearerToken(r.Header["Authorization"])
	if err != nil {
		return identity.Caller{}, err
	}
	return users.Authenticate(r.Context(), token)
}

// bearerToken returns the token in the Authorization headers. The scheme is "Bearer", as the contract says, or "Token",
// as RealWorld's own clients send it. More than one header, another scheme, or a scheme alone is a bad token.
func bearerToken(headers []string) (string, error) {
	if len(headers) == 0 || len(headers) == 1 && headers[0] == "" {
		return "", errs.Unauthenticated("token", missingToken)
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimLeft(token, " ") // RFC 9110 §11.4 allows more than one blank
	if len(headers) > 1 || token == "" || !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "Token") {
		return "", errs.Unauthenticated("token", "is invalid")
	}
	return token, nil
}
