// Package metrics counts what a server does, for Prometheus. Other rooms offer a figure or call a function, and this
// one names the metric. It alone knows Prometheus. No label holds what users or strangers send: the sets of operations,
// statuses and kinds of events are finite and ours.
package metrics

import (
	"database/sql"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"conduit/internal/auth"
	"conduit/internal/identity"
)

// Metrics are the figures of one server. Each begins at zero when its process does.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	inFlight prometheus.Gauge
	events   *prometheus.CounterVec
	waits    *prometheus.HistogramVec
	swept    prometheus.Counter
	removed  prometheus.Counter
	failures prometheus.Counter
	mail     *prometheus.CounterVec
}

// New returns metrics of a version of the program, with those of Go and the process.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "conduit_http_request_duration_seconds",
			Help: "Time from a request's header to the end of its answer, by operationId and status. " +
				"Operation \"other\" is what is in no contract; status 499 is a client that went away.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"operation", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "conduit_http_requests_in_flight", Help: "Requests that are being answered.",
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "conduit_events_total",
			Help: "Events that this instance wrote to the audit log, by action: logins, refusals, throttling, keys. " +
				"What goes on for long is written, and so counted, once a minute.",
		}, []string{"action"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "conduit_password_wait_seconds",
			Help:    "Time that somebody waited for a turn to have a password hashed, by outcome: turn, busy or left.",
			Buckets: []float64{.0001, .01, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"outcome"}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "conduit_sessions_swept_total", Help: "Sessions that were over and that this instance removed.",
		}),
		removed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "conduit_deleted_rows_total",
			Help: "Rows that this instance removed in batches, of what deleted accounts had left.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "conduit_upkeep_failures_total",
			Help: "Times that something due from time to time could not be done.",
		}),
		mail: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "conduit_mail_tries_total",
			Help: "Tries to send a message, by outcome: sent, failed for good, again if it comes later, or dropped " +
				"since there is nobody to send it to.",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{mailSent, mailFailed, mailAgain, mailDropped} {
		m.mail.WithLabelValues(outcome)
	}
	for _, action := range identity.Actions() {
		m.events.WithLabelValues(string(action))
	}
	for _, outcome := range []string{turn, busy, left} {
		m.waits.WithLabelValues(outcome)
	}
	m.registry.MustRegister(m.requests, m.inFlight, m.events, m.waits, m.swept, m.removed, m.failures, m.mail,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.figure("conduit_build_info", "1, with the version of the program and of Go.",
		prometheus.Labels{"version": version, "goversion": runtime.Version()}, func() float64 { return 1 })
	return m
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Counting counts the requests that a handler is answering.
func (m *Metrics) Counting(next http.Handler) http.Handler {
	return promhttp.InstrumentHandlerInFlight(m.inFlight, next)
}

// Request counts an answer. The operation is an operationId, or "" for what is in no contract.
func (m *Metrics) Request(operation string, status int, took time.Duration) {
	if operation == "" {
		operation = "other"
	}
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Observe(took.Seconds())
}

// Recorded counts events that were written to the audit log.
func (m *Metrics) Recorded(events ...identity.Event) {
	for _, event := range events {
		m.events.WithLabelValues(string(event.Action)).Add(float64(max(1, event.Count)))
	}
}

// The outcomes of waiting for a turn.
const (
	turn = "turn"
	busy = "busy"
	left = "left"
)

// Waited counts one wait for a turn to hash a password. The error says how it ended.
func (m *Metrics) Waited(wait time.Duration, err error) {
	outcome := turn
	switch {
	case errors.Is(err, auth.ErrBusy):
		outcome = busy
	case err != nil:
		outcome = left
	}
	m.waits.WithLabelValues(outcome).Observe(wait.Seconds())
}

// Swept counts sessions that a sweep removed.
func (m *Metrics) Swept(sessions int) { m.swept.Add(float64(sessions)) }

// Removed counts rows of deleted accounts that a batch removed.
func (m *Metrics) Removed(rows int) { m.removed.Add(float64(rows)) }

// UpkeepFailed counts a failure of upkeep.
func (m *Metrics) UpkeepFailed() { m.failures.Inc() }

// The outcomes of a try to send a message.
const (
	mailSent    = "sent"
	mailFailed  = "failed"
	mailAgain   = "again"
	mailDropped = "dropped"
)

// MailTried counts a try to send a message.
func (m *Metrics) MailTried(what identity.MailOutcome) {
	outcome := mailAgain
	switch {
	case what.Sent:
		outcome = mailSent
	case what.Failed:
		outcome = mailFailed
	case what.Dropped:
		outcome = mailDropped
	}
	m.mail.WithLabelValues(outcome).Inc()
}

// Mail shows how many messages wait to be sent.
func (m *Metrics) Mail(waiting func() int64) {
	m.figure("conduit_mail_waiting", "Messages that waited to be sent at this instance's last look.", nil,
		func() float64 { return float64(waiting()) })
}

// Pool shows a pool of connections to the database.
func (m *Metrics) Pool(name string, pool *sql.DB) {
	m.registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
}

// Passwords shows the queue for hashing.
func (m *Metrics) Passwords(passwords *auth.Passwords) {
	m.figure("conduit_password_queue_length", "People who wait for a turn to have a password hashed.", nil,
		func() float64 { return float64(passwords.Waiting()) })
}

// Server shows what a server knows of itself.
func (m *Metrics) Server(server interface {
	Checked() int64
	Violations() int64
	BodyMemory() (taken, most int64)
	AnswerMemory() (taken, most int64)
}) {
	m.count("conduit_contract_answers_checked_total",
		"Answers that were checked against the contract; none without --check-responses.", server.Checked)
	m.count("conduit_contract_violations_total", "Answers that were checked and broke the contract.", server.Violations)
	for kind, memory := range map[string]func() (taken, most int64){
		"bodies": server.BodyMemory, "answers": server.AnswerMemory,
	} {
		labels := prometheus.Labels{"kind": kind}
		m.figure("conduit_request_memory_bytes", "Memory that requests have taken, by kind: bodies or answers.", labels,
			func() float64 { taken, _ := memory(); return float64(taken) })
		m.figure("conduit_request_memory_limit_bytes", "Memory that requests may take together, by kind.", labels,
			func() float64 { _, most := memory(); return float64(most) })
	}
}

// Recall shows how often who has a session was remembered, and what that takes.
func (m *Metrics) Recall(recall *identity.Recall) {
	for outcome, count := range map[string]*atomic.Int64{
		"hit": &recall.Hits, "miss": &recall.Misses, "stale": &recall.Stale,
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "conduit_session_lookups_total",
			Help: "Lookups of sessions: remembered (hit), asked for (miss), or asked for because the log of " +
				"endings was not read in time (stale).",
			ConstLabels: prometheus.Labels{"outcome": outcome},
		}, func() float64 { return float64(count.Load()) }))
	}
	m.count("conduit_revocation_polls_total", "Readings of the log of endings.", recall.Polls.Load)
	m.count("conduit_revocation_polls_failed_total", "Readings of the log of endings that failed.", recall.Failed.Load)
	m.count("conduit_revocation_waits_total", "Answers held back until no instance trusts what they end.",
		recall.Waits.Load)
}

// Streams shows the streams of events, and what came of them.
func (m *Metrics) Streams(figures func() (open, most int64), opened, refused, slow, resets, told *atomic.Int64) {
	m.figure("conduit_event_streams", "Streams of events that are open.", nil,
		func() float64 { open, _ := figures(); return float64(open) })
	m.figure("conduit_event_streams_limit", "Streams of events that may be open together.", nil,
		func() float64 { _, most := figures(); return float64(most) })
	for name, one := range map[string]struct {
		help  string
		count *atomic.Int64
	}{
		"opened":  {"Streams of events that began.", opened},
		"refused": {"Streams of events that did not begin: too many were open, or the server was stopping.", refused},
		"slow":    {"Times that too much waited for a client, and was read again when the client was ready.", slow},
		"reset":   {"Streams of events that began behind an id that the log has not any more.", resets},
	} {
		m.count("conduit_event_streams_"+name+"_total", one.help, one.count.Load)
	}
	m.count("conduit_event_deliveries_total", "Events that streams were sent; one may be sent to many.", told.Load)
}

// Replica shows a replica: the reads that were sent there by their outcome, whether any are, and how old its answers
// are.
func (m *Metrics) Replica(name string, reads map[string]func() int64, used func() bool, lag func() time.Duration) {
	for outcome, count := range reads {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "conduit_replica_reads_total",
			Help: "Reads that were sent to a replica, by what came of it: answered; or by the primary instead, since " +
				"the replica found nothing (absent), was late, had a conflict with what it replays, or failed.",
			ConstLabels: prometheus.Labels{"replica": name, "outcome": outcome},
		}, func() float64 { return float64(count()) }))
	}
	labels := prometheus.Labels{"replica": name}
	m.figure("conduit_replica_used", "1 if reads are sent to a replica, else 0.", labels, func() float64 {
		if used() {
			return 1
		}
		return 0
	})
	m.figure("conduit_replica_lag_seconds", "How old is what a replica shows.", labels,
		func() float64 { return lag().Seconds() })
}

// Keys shows the signing keys. Rotation is the age at which another key follows the active one, 0 for never.
func (m *Metrics) Keys(keys *auth.KeyRing, rotation time.Duration) {
	for _, state := range auth.KeyStates() {
		labels := prometheus.Labels{"state": string(state)}
		m.figure("conduit_signing_keys", "Signing keys, by state.", labels, func() float64 {
			count := 0
			for _, key := range keys.Keys() {
				if key.State == state {
					count++
				}
			}
			return float64(count)
		})
	}
	const created = "conduit_signing_key_created_timestamp_seconds"
	m.figure(created, "When the active signing key was made; 0 without one.", nil, func() float64 {
		for _, key := range keys.Keys() {
			if key.State == auth.KeyActive {
				return float64(key.CreatedAt.Unix())
			}
		}
		return 0
	})
	m.figure("conduit_signing_key_rotation_seconds", "Age at which another signing key follows; 0 for never.", nil,
		rotation.Seconds)
	const open = "conduit_signing_keys_open"
	m.figure(open, "1 if the signing keys opened when they were read last, else 0.", nil, func() float64 {
		if keys.Opens() != nil {
			return 0
		}
		return 1
	})
}

func (m *Metrics) figure(name, help string, labels prometheus.Labels, value func() float64) {
	options := prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}
	m.registry.MustRegister(prometheus.NewGaugeFunc(options, value))
}

func (m *Metrics) count(name, help string, value func() int64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
		func() float64 { return float64(value()) }))
}
