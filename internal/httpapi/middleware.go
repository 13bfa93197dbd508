package httpapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/rs/cors"
)

// saneID matches what a client may call its request, which is nothing that could forge a line in somebody's log.
var saneID = regexp.MustCompile(`^[A-Za-z0-9._~+/=:-]{1,128}$`)

// observe is the outermost layer: it names the request, writes the log line, and turns a panic into a 500.
func observe(next http.Handler, config Config) http.Handler {
	log, now, prefix := config.Log, config.Now, config.Public.prefix()
	clients := &clients{proxies: config.TrustedProxies, log: log}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := &request{client: clients.of(r)}
		// Only our id is unique. Clients may give one id to any number of requests.
		asked.client.RequestID = rand.Text()
		if id := r.Header.Get("X-Request-Id"); saneID.MatchString(id) {
			asked.client.ClientRequestID = id
		}
		r = asked.begin(w, r, config.Tracer, clients.believe(r))
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, asked))
		answer := &answerWriter{ResponseWriter: w, prefix: prefix}
		asked.answer = answer
		header := w.Header()
		header.Set("X-Request-Id", asked.client.RequestID)
		began := now()
		defer func() {
			fault := recover()
			if fault != nil && fault != http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
				log.ErrorContext(r.Context(), "panic",
					"value", fmt.Sprint(fault), "stack", string(debug.Stack()), asked.named())
				if answer.status == 0 {
					writeError(answer, r, log, fmt.Errorf("panic: %v", fault))
					fault = nil
				}
			}
			asked.end(r.Method, asked.status())
			if config.OnRequest != nil {
				config.OnRequest(asked.OperationID, asked.status(), now().Sub(began))
			}
			// Requests are logged for whoever looks for one. Errors are logged where they are known.
			if log.Enabled(r.Context(), slog.LevelDebug) {
				log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("method", r.Method),
					slog.String("path", r.URL.Path), slog.Int("status", asked.status()),
					slog.Duration("took", now().Sub(began)), asked.cutShort(), asked.named())
			}
			if fault != nil {
				panic(http.ErrAbortHandler) // half an answer is out; nobody must take it for a whole one
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// answerWriter notes the status and whether the answer could be sent, and completes two headers: the generated code
// names the media type without the charset, and handlers do not know below which path others reach the server.
type answerWriter struct {
	http.ResponseWriter
	prefix string
	status int
	failed error
}

func (a *answerWriter) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
		if header := a.Header(); header.Get("Content-Type") == "application/json" {
			header.Set("Content-Type", "application/json; charset=utf-8")
		}
		if location := a.Header().Get("Location"); strings.HasPrefix(location, "/") {
			a.Header().Set("Location", a.prefix+location)
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answerWriter) Write(text []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	n, err := a.ResponseWriter.Write(text)
	a.failed = cmp.Or(a.failed, err)
	return n, err
}

// Unwrap lets http.ResponseController through.
func (a *answerWriter) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// draining makes clients and proxies open new connections, to another instance, once this one is about to stop.
func draining(next http.Handler, stopping <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isClosed(stopping) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func isClosed(signal <-chan struct{}) bool {
	select {
	case <-signal:
		return true
	default:
		return false
	}
}

const noStore = "no-store"

// secure sets the headers that browsers should see on any answer of an API (OWASP REST Security Cheat Sheet, "Security
// Headers"). Caches keep nothing unless a handler says so, since most answers are for one person.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", noStore)
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		next.ServeHTTP(w, r)
	})
}

// crossOrigin lets in front ends on other origins. Tokens travel in a header that no browser adds by itself, so any
// origin may ask, without credentials. It may send any header, since tracing libraries add theirs to every call, and
// one that is not allowed fails all of them. Without origins it lets in none; the library would let in any.
func crossOrigin(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		// PATCH has no operation. It is listed so that a page can read the 405.
		AllowedMethods: []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch,
		},
		AllowedHeaders: []string{"*"}, // answered with the names asked for, since browsers want Authorization by name
		ExposedHeaders: []string{
			"ETag", "Location", "Preference-Applied", "Retry-After", "Traceresponse",
			"WWW-Authenticate", "X-Request-Id",
		},
		MaxAge: int((2 * time.Hour).Seconds()), // browsers cap it there
	}).Handler(next)
}

// minGzip is the length from which an answer is compressed, in bytes.
const minGzip = 2048

// compressed gzips large answers for clients that take them. No answer mixes a secret with what an attacker could have
// chosen (BREACH): tokens travel in a header that other pages cannot send.
func compressed(next http.Handler) http.Handler {
	types := gzhttp.ContentTypes([]string{"application/json", "application/yaml"})
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(minGzip), types)
	if err != nil {
		panic(err) // the options are fixed
	}
	return wrap(next)
}
