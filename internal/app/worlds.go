package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"conduit/internal/contract"
	"conduit/internal/demo"
	"conduit/internal/httpapi"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/worlds"
)

// Worlds are the settings of worlds, which docs/settings.md describes.
type Worlds struct {
	On       bool
	Limit    int
	Idle     time.Duration
	Anywhere bool
}

// openWorlds makes the part that keeps worlds, if there are to be any.
func (a *App) openWorlds(ctx context.Context) error {
	o := &a.options
	if !o.Worlds.On {
		return nil
	}
	if a.listener != nil && o.othersReach(a.listener.Addr()) && !o.Worlds.Anywhere {
		return wrong("worlds", errors.New("whoever reaches a server with worlds may make and end any of them, and "+
			"others reach this one: listen on loopback, or say --worlds-anywhere (CONDUIT_WORLDS_ANYWHERE=true)"))
	}
	maker, err := newWorldMaker(ctx, a)
	if err != nil {
		return err
	}
	around := httpapi.Config{
		Log: o.Log, Now: a.HTTP.Now, Origins: a.HTTP.Origins, Public: a.HTTP.Public, Stopping: a.HTTP.Stopping,
		TrustedProxies: a.HTTP.TrustedProxies, Tracer: a.HTTP.Tracer, OnRequest: a.HTTP.OnRequest,
		BodyMemory: a.HTTP.BodyMemory, BodyTime: a.HTTP.BodyTime, BodyRate: a.HTTP.BodyRate,
	}
	a.worlds = worlds.New(worlds.Config{
		Maker: maker, Limit: o.Worlds.Limit, Idle: o.Worlds.Idle, Now: a.HTTP.Now, Log: o.Log, Version: o.Version,
		PublicURL: o.PublicURL, Anywhere: o.Worlds.Anywhere, API: maker.contract.Document(),
		CheckResponses: a.HTTP.CheckResponses, OnAnswer: a.HTTP.OnAnswer,
		OnViolation: func(_ *http.Request, v contract.Violation) {
			o.Log.Error("an answer breaks the contract of worlds", "operation", v.OperationID, "status", v.Status,
				"reason", v.Reason)
			if a.HTTP.OnViolation != nil {
				a.HTTP.OnViolation(v)
			}
		},
	})
	a.closers = append(a.closers, a.worlds.Close)
	a.Handler, err = a.worlds.Mount(a.Handler, a.HTTP.Public.Prefix(), func(
		mount func(contract.Host) http.Handler,
	) http.Handler {
		return httpapi.Beside(around, mount)
	})
	return err
}

// worldBytes is how large the database of a world may be. It is enough for 100,000 articles of a screen each.
const worldBytes = 512 << 20

// worldTime bounds an operation on the database of a world. That is in memory, so what takes long is a machine with too
// much to do.
const worldTime = 15 * time.Second

// worldMaker opens the Apps of worlds.
type worldMaker struct {
	server   *App
	contract *httpapi.Contract
	blank    store.Image // a database that was migrated

	mutex      sync.Mutex
	beginnings map[origin]*beginning
}

// origin is what the content of a new world depends on.
type origin struct {
	seed uint64
	at   int64 // in milliseconds
	demo bool
}

// mostBeginnings is how many are kept for further worlds. A world keeps its own.
const mostBeginnings = 8

func newWorldMaker(ctx context.Context, server *App) (*worldMaker, error) {
	o := &server.options
	read, err := httpapi.ReadContract(o.PasswordPolicy, o.HTTP.CheckResponses)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(InMemory, store.Options{Log: o.Log})
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // it is in memory
	if _, err := db.MigrateUp(ctx); err != nil {
		return nil, fmt.Errorf("preparing worlds: %w", err)
	}
	blank, err := db.Image(ctx)
	return &worldMaker{server: server, contract: read, blank: blank, beginnings: map[origin]*beginning{}}, err
}

// beginning returns the database with which a world begins: migrated, with its signing key, and with demo content if
// that is asked for. Of those who ask for the same at the same time one makes it.
func (m *worldMaker) beginning(ctx context.Context, w *world, spec worlds.Spec) (store.Image, error) {
	from := origin{w.seed, spec.At.UnixMilli(), spec.Demo}
	m.mutex.Lock()
	found := m.beginnings[from]
	if found == nil {
		for known := range m.beginnings {
			if len(m.beginnings) < mostBeginnings {
				break
			}
			delete(m.beginnings, known)
		}
		found = &beginning{}
		m.beginnings[from] = found
	}
	m.mutex.Unlock()
	found.mutex.Lock()
	defer found.mutex.Unlock()
	var err error
	if found.image == nil {
		found.image, err = m.prepare(ctx, w, spec)
	}
	return found.image, err
}

// beginning is the database with which worlds begin.
type beginning struct {
	mutex sync.Mutex
	image store.Image // nil until it was made
}

func (m *worldMaker) prepare(ctx context.Context, w *world, spec worlds.Spec) (store.Image, error) {
	db, err := store.OpenImage(ctx, m.blank, worldBytes, store.Options{Timeout: worldTime, Log: m.server.options.Log})
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // it is in memory
	if spec.Demo {
		if err := Fill(ctx, db, m.demo(w, spec.At)); err != nil {
			return nil, err
		}
	}
	preparing := *w
	preparing.before = true
	prepared := App{options: m.options(&preparing, spec, db), Store: db}
	prepared.options.Now = func() time.Time { return spec.At }
	prepared.options.Log = slog.New(slog.DiscardHandler)
	prepared.figures = w.figures()
	if _, err := prepared.openKeys(ctx); err != nil {
		return nil, err
	}
	return db.Image(ctx)
}

// demo returns what demo content a world has. It is that of any server with the seed, unless the world's clock begins
// before that was written. The server has the pictures, so that no answer names the world.
func (m *worldMaker) demo(w *world, at time.Time) demo.Options {
	options := demo.Options{Users: 20, Articles: 100, Seed: w.seed, PublicURL: m.server.PublicURL}
	if at.Before(demo.Now) {
		options.Earlier = demo.Now.Sub(at)
	}
	return options
}

// options returns what the App of a world is made of: what the server is made of, but for what a world has of its own.
func (m *worldMaker) options(w *world, spec worlds.Spec, db *store.Store) Options {
	o := m.server.options
	key := sha256.Sum256(fmt.Appendf(nil, "conduit world %d: key-encryption key", w.seed))
	o.world, o.Store, o.Database, o.Now = w, db, Database{URL: InMemory}, spec.Now
	o.KeyEncryptionKey, o.KeyFile = base64.StdEncoding.EncodeToString(key[:]), ""
	o.KeyAlgorithm = "EdDSA" // whose signatures are the same each time
	o.Listen, o.MetricsListen, o.Getenv, o.Seed, o.Worlds = "", "", nil, 0, Worlds{}
	// Tokens name no URL, for then they would not be the same in each world.
	o.PublicURL, o.Issuer = "", "conduit"
	o.PasskeyRPID, o.PasskeyOrigins = passkeysOff, nil // also where the server cannot have any, as at an IP address
	if m.server.Passkeys.Party != nil {
		o.PasskeyRPID, o.PasskeyOrigins = m.server.options.passkeyParty(m.server.Local)
	}
	o.Mail = Mail{URL: LogMail, LinkURL: o.Mail.LinkURL}
	http := m.server.options.HTTP
	o.HTTP = httpapi.Config{
		Contract: m.contract, NewRequestID: newSource(w.seed, "requests").text, Script: spec.Script,
		Origins: http.Origins, Rehearse: http.Rehearse, CheckResponses: http.CheckResponses,
		OnViolation: http.OnViolation, OnAnswer: http.OnAnswer, TrustedProxies: http.TrustedProxies,
		Tracer: http.Tracer, Stopping: http.Stopping,
		BodyMemory: http.BodyMemory, AnswerMemory: http.AnswerMemory, BodyTime: http.BodyTime, BodyRate: http.BodyRate,
		EventRetry: time.Second, // the same each time
	}
	return o
}

// Open implements [worlds.Maker].
func (m *worldMaker) Open(ctx context.Context, spec worlds.Spec) (worlds.Opened, error) {
	w := &world{server: m.server, id: spec.ID, seed: spec.Seed, url: httpapi.PublicURL(spec.URL)}
	image, known := spec.Beginning.(store.Image)
	if !known {
		var err error
		if image, err = m.beginning(ctx, w, spec); err != nil {
			return worlds.Opened{}, err
		}
	}
	var opened atomic.Bool
	log := slog.New(&quietStart{m.server.options.Log.Handler(), &opened}).With("world", spec.ID)
	db, err := store.OpenImage(ctx, image, worldBytes, store.Options{Timeout: worldTime, Log: log, Now: spec.Now})
	if err != nil {
		return worlds.Opened{}, err
	}
	db.Watch(w.figures().Recorded)
	o := m.options(w, spec, db)
	o.Log = log
	a, err := Open(ctx, o)
	if err != nil {
		return worlds.Opened{}, errors.Join(err, db.Close())
	}
	opened.Store(true)
	return worlds.Opened{
		Handler: a.Handler, Due: a.due, Move: a.move,
		Close: func() error { a.Close(); return db.Close() }, Beginning: image,
	}, nil
}

// quietStart keeps what each world says at its start out of the log, unless it is a warning.
type quietStart struct {
	slog.Handler
	opened *atomic.Bool
}

// Enabled implements [slog.Handler].
func (q *quietStart) Enabled(ctx context.Context, level slog.Level) bool {
	return (q.opened.Load() || level >= slog.LevelWarn) && q.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (q *quietStart) WithAttrs(attributes []slog.Attr) slog.Handler {
	return &quietStart{q.Handler.WithAttrs(attributes), q.opened}
}

// WithGroup implements [slog.Handler].
func (q *quietStart) WithGroup(name string) slog.Handler {
	return &quietStart{q.Handler.WithGroup(name), q.opened}
}

// due does what a request has left to be done. A server does that in the background; in a world it is done before the
// next request, so that this finds the same each time.
func (a *App) due(ctx context.Context) error {
	return errors.Join(a.Deletions.Due(ctx), a.Outbox.Due(ctx))
}

// move calls set, which moves the clock. It notes before who was seen, hands on what has happened until then, and does
// afterwards what is due then.
func (a *App) move(ctx context.Context, set func()) error {
	a.Events.CatchUp()
	failed := errors.Join(a.Sessions.WriteDownSeen(ctx), a.Throttle.WriteDown(ctx, true))
	set()
	upkeep := a.upkeep()
	upkeep.Failed = func(err error) { failed = errors.Join(failed, err) }
	upkeep.Sweep(ctx)
	made, err := a.Keys.Tend(ctx)
	if made != nil {
		a.keyMade(ctx, *made)
	}
	return errors.Join(failed, err, a.Deletions.RemoveAll(ctx), a.Outbox.SendAll(ctx))
}

// upkeep returns what is done from time to time.
func (a *App) upkeep() identity.Upkeep {
	return identity.Upkeep{
		Sessions: a.Sessions, Throttle: a.Throttle, Passkeys: a.Passkeys, Users: a.Store, Factors: a.Store,
		Audit: a.Store, Tags: a.Store, Outbox: a.Outbox, Codes: a.Store, Answers: a.Store,
		Told: a.Store, AuditRetention: a.options.AuditRetention, Now: a.options.Now,
		Swept: func(removed int) {
			a.figures.Swept(removed)
			a.options.Log.Info("sessions swept", "removed", removed)
		},
		Failed: a.upkeepFailed,
	}
}
