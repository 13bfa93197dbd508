package httpapi

import "net/http"

// positionHeader is the header with which the answer to a change says what reads have to show to show it, and by which
// clients ask for that.
const positionHeader = "Conduit-Position"

// replicated lets replicas answer what only reads. It adds the position to the answers of changes that have one in the
// contract. Somebody who sends a token may have written before, whether or not the operation takes the token.
func replicated(next http.Handler, replicas Replicas, positioned map[string]bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			known := r.Header.Get("Authorization") != ""
			next.ServeHTTP(w, r.WithContext(replicas.Reading(r.Context(), r.Header.Values(positionHeader), known)))
			return
		}
		next.ServeHTTP(&positionWriter{w, r, replicas, positioned}, r)
	})
}

// positionWriter adds the position to a good answer when it begins, which is when what it answers is committed.
type positionWriter struct {
	http.ResponseWriter
	request    *http.Request
	replicas   Replicas
	positioned map[string]bool
}

// WriteHeader implements [http.ResponseWriter].
func (p *positionWriter) WriteHeader(status int) {
	ctx := p.request.Context()
	if status >= http.StatusOK && status < http.StatusMultipleChoices && p.positioned[requestFrom(ctx).OperationID] {
		if position := p.replicas.Position(ctx); position != "" {
			p.Header().Set(positionHeader, position)
		}
	}
	p.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController through.
func (p *positionWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
