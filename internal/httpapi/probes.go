package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"conduit/internal/contract"
	"conduit/internal/errs"
)

// live answers for the process alone. It checks nothing that a restart would not mend: an orchestrator that restarts
// all instances when the database is away makes things worse.
func live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness answers whether an instance can serve: 200, or 503 with what is missing. Strangers may ask as often as they
// like, since all who ask within a second share an answer.
type readiness struct {
	config Config

	mutex   sync.Mutex
	at      time.Time
	missing errs.Fields
}

// ServeHTTP implements [http.Handler].
func (p *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.config.isStopping() {
		sendError(w, r, http.StatusServiceUnavailable, notReady(errs.Fields{"server": {"is stopping"}}))
		return
	}
	if missing := p.look(r.Context()); len(missing) > 0 {
		sendError(w, r, http.StatusServiceUnavailable, notReady(missing))
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "database": "ok", "schema": "ok", "keys": "ok"})
}

// look runs the checks, or returns what they found less than a second ago.
func (p *readiness) look(ctx context.Context) errs.Fields {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if since := p.config.Now().Sub(p.at); since >= 0 && since < time.Second {
		return p.missing
	}
	ctx = context.WithoutCancel(ctx) // others get the answer too; the store bounds the time
	before := p.missing
	p.missing = errs.Fields{}
	check := func(name, message string, run func(context.Context) error) bool {
		err := run(ctx)
		if err == nil {
			return true
		}
		p.missing.Add(name, message)
		if before[name] == nil { // logged once, not with each probe
			p.config.Log.LogAttrs(ctx, slog.LevelError, "not ready",
				slog.String("check", name), slog.String("error", err.Error()))
		}
		return false
	}
	// Nothing else can be known of a database that does not answer, and each question would take the store's whole
	// timeout.
	if check("database", "does not answer, or takes no writes", p.config.Ping) {
		check("schema", "is not what this version needs, or cannot be read", p.config.Schema)
		check("keys", "do not open, or none signs", p.config.Keys.Ready)
	}
	p.at = p.config.Now()
	return p.missing
}

// health answers 200 as long as the database answers, can be written to, and has signing keys that open. An instance
// without these can serve nobody, and a load balancer should know. If answers are checked against the contract, it says
// how many were checked and how many broke it.
func health(config Config, answers *contract.Counts) http.HandlerFunc {
	type counted struct {
		Checked    int64 `json:"checked"`
		Violations int64 `json:"violations"`
	}
	type body struct {
		Status    string   `json:"status"`
		Responses *counted `json:"responses,omitempty"`
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if config.isStopping() {
			sendError(w, r, http.StatusServiceUnavailable, notReady(errs.Fields{"server": {"is stopping"}}))
			return
		}
		err := config.Ping(r.Context())
		if closed := config.Keys.Opens(); err == nil && closed != nil {
			err = errs.Unavailable(closed)
		}
		if err != nil {
			writeError(w, r, config.Log, err)
			return
		}
		answer := body{Status: "ok"}
		if config.CheckResponses {
			answer.Responses = &counted{Checked: answers.Checked.Load(), Violations: answers.Violations.Load()}
		}
		writeJSON(w, http.StatusOK, answer)
	}
}
