package httpapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/rs/cors"

	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/proxies"
	"conduit/internal/transport"
)

// saneID matches what a client may call its request, which is nothing that could forge a line in somebody's log.
var saneID = regexp.MustCompile(`^[A-Za-z0-9._~+/=:-]{1,128}$`)

// codePaths matches what comes before a code in a path. The code may be good still, so it does not come into the log.
var codePaths = regexp.MustCompile(`/(password-resets|email-verifications)/`)

func withoutCode(path string) string {
	if at := codePaths.FindStringIndex(path); at != nil {
		return path[:at[1]] + "…"
	}
	return path
}

// observe is the outermost layer: it names the request, writes the log line, and turns a panic into a 500.
func observe(next http.Handler, config Config) http.Handler {
	log, now, prefix := config.Log, config.Now, config.Public.Prefix()
	clients := &proxies.Clients{Trusted: config.TrustedProxies, Log: log}
	newID := config.NewRequestID
	if newID == nil {
		newID = rand.Text
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := &requestState{
			client: identity.Client{
				IPAddress: clients.IPAddress(r), UserAgent: r.UserAgent(), Languages: r.Header.Get("Accept-Language"),
			},
			head: r.Method == http.MethodHead,
		}
		// Only our id is unique. Clients may give one id to any number of requests.
		asked.client.RequestID = newID()
		if id := r.Header.Get("X-Request-Id"); id != "" && saneID.MatchString(id) {
			asked.client.ClientRequestID = id
		}
		r = asked.begin(w, r, config.Tracer, config.TrustedProxies.Have(proxies.Peer(r.RemoteAddr)))
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, asked))
		asked.answer = answerWriter{ResponseWriter: w, prefix: prefix, of: asked}
		answer := &asked.answer
		header := w.Header()
		header.Set("X-Request-Id", asked.client.RequestID)
		began := now()
		answer.began = began.UnixNano()
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
			if !asked.flowing {
				asked.end(r.Method, asked.status())
			}
			if config.OnRequest != nil && !asked.flowing {
				config.OnRequest(asked.OperationID, asked.status(), now().Sub(began))
			}
			// Requests are logged for whoever looks for one. Errors are logged where they are known.
			if log.Enabled(r.Context(), slog.LevelDebug) {
				log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("method", r.Method),
					slog.String("path", withoutCode(r.URL.Path)), slog.Int("status", asked.status()),
					slog.Duration("took", now().Sub(began)), asked.cutShort(), asked.named())
			}
			if fault != nil {
				panic(http.ErrAbortHandler) // half an answer is out; nobody must take it for a whole one
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// draining makes clients and proxies open new connections, to another instance, once this one is about to stop.
func draining(next http.Handler, config Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if config.isStopping() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

const noStore = "no-store"

// securityHeaders are shared by all answers: whoever sets another value sets another list.
var securityHeaders = http.Header{
	"Cache-Control":           {noStore},
	"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
	"Referrer-Policy":         {"no-referrer"},
	"X-Content-Type-Options":  {"nosniff"},
	"X-Frame-Options":         {"DENY"},
}

// secure sets the headers that browsers should see on any answer of an API (OWASP REST Security Cheat Sheet, "Security
// Headers"). Caches keep nothing unless a handler says so, since most answers are for one person.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), securityHeaders)
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
			positionHeader, "Deprecation", "ETag", replayedHeader, "Link", "Location", "Preference-Applied",
			limitHeader, policyHeader, "Retry-After", "Sunset", "Traceresponse", "WWW-Authenticate", "X-Request-Id",
		},
		MaxAge: int((2 * time.Hour).Seconds()), // browsers cap it there
	}).Handler(next)
}

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

// hereOnly refuses requests from other machines. A server with accounts whose password everybody knows listens on
// loopback, but a tunnel or a proxy there may forward requests from elsewhere.
func hereOnly(next http.Handler, log *slog.Logger) http.Handler {
	var warned sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if proxies.Here(r) {
			next.ServeHTTP(w, r)
			return
		}
		warned.Do(func() {
			log.Warn("somebody from elsewhere was refused: this server has demo accounts, whose password everybody " +
				"knows; --demo (CONDUIT_DEMO=true) serves them to others too")
		})
		writeError(w, r, log, notHere)
	})
}

var notHere = errs.New(errs.KindForbidden, "server",
	"has demo accounts and is for its own machine only; start it with --demo to serve others")

// belowPath strips the path of the public URL from requests, for proxies that leave it there. It leaves requests alone
// whose proxy has stripped it.
func belowPath(next http.Handler, prefix string) http.Handler {
	if prefix == "" {
		return next
	}
	stripped := http.StripPrefix(prefix, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch escaped := r.URL.EscapedPath(); {
		case escaped == prefix && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			redirectTo(path.Base(prefix)+"/docs").ServeHTTP(w, r)
		case strings.HasPrefix(escaped, prefix+"/"):
			stripped.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// redirectTo redirects to a relative URL, so that it stays below whatever path a proxy has put before it.
// [http.Redirect] would make it absolute.
func redirectTo(relative string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", relative)
		w.WriteHeader(http.StatusFound)
	})
}

// bounded lets requests take memory, and releases it when they have been answered and the answer is compressed.
func bounded(next http.Handler, bodies, answers *transport.Memory) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := requestFrom(r.Context())
		request.memory = transport.NewShare(w, bodies, answers, request.client.Network)
		defer request.memory.End()
		next.ServeHTTP(w, r)
	})
}

// charged takes memory for an answer to a read that is long enough to be compressed, before it is sent, unless memory
// was taken before it was made. If there is none, the answer is 503. A change that was made is never answered so. Its
// answer is short, and goes out as it is if need be, since compressing costs the most.
func charged(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set(gzhttp.HeaderNoCompression, "change")
			next.ServeHTTP(w, r)
			return
		}
		answer := &chargedAnswer{ResponseWriter: w, request: r, log: log}
		next.ServeHTTP(answer, r)
		if answer.status != 0 && !answer.begun { // without a body
			answer.ResponseWriter.WriteHeader(answer.status)
		}
	})
}

type chargedAnswer struct {
	http.ResponseWriter
	request *http.Request
	log     *slog.Logger
	status  int
	begun   bool
	refused bool
}

// WriteHeader implements [http.ResponseWriter]. The status waits for the first bytes of the body, which decide.
func (c *chargedAnswer) WriteHeader(status int) {
	if status < http.StatusOK {
		c.ResponseWriter.WriteHeader(status)
	} else if c.status == 0 {
		c.status = status
	}
}

// Write implements [http.ResponseWriter]. Our answers are written in one piece, unless they are streamed.
func (c *chargedAnswer) Write(text []byte) (int, error) {
	if c.refused {
		return len(text), nil
	}
	if !c.begun {
		c.begun = true
		if err := c.charge(int64(len(text))); err != nil {
			c.refused = true
			header := c.Header()
			header.Del("Content-Encoding")
			header.Del("Content-Length")
			header.Del("ETag")
			header.Set("Cache-Control", noStore)
			writeError(c.ResponseWriter, c.request, c.log, err)
			return len(text), nil
		}
		c.ResponseWriter.WriteHeader(cmp.Or(c.status, http.StatusOK))
	}
	return c.ResponseWriter.Write(text)
}

// Unwrap lets http.ResponseController through.
func (c *chargedAnswer) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *chargedAnswer) charge(size int64) error {
	request := requestFrom(c.request.Context())
	if size < minGzip || request.streams || request.memory.HasForAnswer() {
		return nil
	}
	return request.memory.TakeForAnswer(c.request.Context(), size+gzipMemory)
}
