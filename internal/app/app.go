// Package app puts the program together, in one place. The command that serves, the tests and the fleet test all start
// the value that [Open] returns.
package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"conduit/internal/auth"
	"conduit/internal/blog"
	"conduit/internal/errs"
	"conduit/internal/events"
	"conduit/internal/httpapi"
	"conduit/internal/identity"
	"conduit/internal/mail"
	"conduit/internal/metrics"
	"conduit/internal/proxies"
	"conduit/internal/store"
	"conduit/internal/worlds"
)

// App is every room, plugged together.
type App struct {
	Handler   http.Handler
	Store     *store.Store
	Keys      *auth.KeyRing
	Users     *identity.Users
	Accounts  *identity.Accounts
	Deletions *identity.Deletions
	Sessions  *identity.Sessions
	Passkeys  *identity.Passkeys
	Throttle  *identity.Throttle
	Retries   *identity.Retries

	ResourceServers *identity.ResourceServers
	Outbox          *identity.Outbox
	Mails           *identity.Mails
	Events          *events.Hub

	HTTP httpapi.Config // what the handler is made of

	Local     string // the URL at which this machine reaches the server; empty without a listener
	PublicURL string // the URL under which others reach it

	options   Options
	passwords *auth.Passwords
	templates *mail.Templates
	tokens    *auth.Tokens
	server    *httpapi.Server
	figures   *metrics.Metrics
	worlds    *worlds.Worlds // nil for none
	listener  net.Listener
	closers   []func() // in the order in which they were opened
}

// Open puts the program together, from the database up, and binds its port. The context is that of the program: when it
// ends, the App is about to stop. Open returns a *WrongSetting if a setting is to blame. Nobody is answered before
// Serve, and nothing goes on in the background.
func Open(ctx context.Context, o Options) (*App, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	a := &App{options: o}
	if err := a.open(ctx); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Close frees what Open took, the last first.
func (a *App) Close() {
	for _, free := range slices.Backward(a.closers) {
		free()
	}
}

func (a *App) open(ctx context.Context) error {
	o := &a.options
	public, err := httpapi.ParsePublicURL(o.PublicURL)
	if err != nil {
		return wrong("public-url", err)
	}
	o.PublicURL = string(public)
	o.Issuer = cmp.Or(o.Issuer, o.PublicURL, "conduit")
	newID := rand.Text
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Seed != 0 {
		o.Now, newID = standstill(o.Seed)
	}
	if o.world != nil {
		newID = newSource(o.world.seed, "ids").text
	}
	tracer, stopTracing, err := startTracing(ctx, o.Getenv, o.Version, o.Log)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, stopTracing)
	if a.figures = o.world.figures(); a.figures == nil {
		a.figures = metrics.New(o.Version)
	}
	if err := a.openStore(ctx, tracer); err != nil {
		return err
	}
	root, err := a.openKeys(ctx)
	if err != nil {
		return err
	}
	if err := a.openIdentity(root, newID); err != nil {
		return err
	}
	o.HTTP.HereOnly, err = a.listen(ctx)
	if err != nil {
		return err
	}
	if err := a.openPasskeys(root, newID); err != nil {
		return err
	}
	if err := a.openMail(root, newID); err != nil {
		return err
	}
	o.HTTP.Public, o.HTTP.Issuer, o.HTTP.Version = cmp.Or(public, o.world.publicURL()), o.Issuer, o.Version
	o.HTTP.Tracer = cmp.Or(o.HTTP.Tracer, tracer)
	if o.HTTP.TrustedProxies, err = proxies.Parse(o.TrustedProxies); err != nil {
		return wrong("trusted-proxies", err)
	}
	if err := a.openHandler(ctx, newID); err != nil || o.world != nil {
		return err
	}
	if err := a.openMetrics(ctx); err != nil {
		return err
	}
	return a.openWorlds(ctx)
}

// openStore opens the database, unless there is an open one.
func (a *App) openStore(ctx context.Context, tracer trace.Tracer) (err error) {
	o := &a.options
	if a.Store = o.Store; a.Store == nil {
		o.Database.Connections = cmp.Or(o.Database.Connections, store.DefaultConnections())
		o.Database.Spans, o.Database.lease = tracer, o.SessionLease
		if a.Store, err = OpenDatabase(ctx, o.Database, o.Log); err != nil {
			return err
		}
		a.closers = append(a.closers, func() {
			if err := a.Store.Close(); err != nil {
				o.Log.Error("closing the database", "error", err)
			}
		})
		a.Store.Watch(a.figures.Recorded)
	}
	return nil
}

// openKeys opens what seals, signs and refreshes, and returns the secret from which others are derived.
func (a *App) openKeys(ctx context.Context) (root []byte, err error) {
	o := &a.options
	kek, err := FindKEK(o.Database.URL, o.KeyFile, o.KeyEncryptionKey, o.Log, func() error {
		return noKeysSealed(ctx, a.Store, o.KeyFile)
	})
	if err != nil {
		return root, err
	}
	sealer, err := auth.NewSealer(kek)
	if err != nil {
		return root, err
	}
	if root, err = auth.OpenRoot(ctx, a.Store, kek); err != nil {
		return root, WithRemedy(err)
	}
	a.Keys, err = auth.OpenKeyRing(ctx, a.Store, sealer, auth.KeyRingOptions{
		Algorithm: o.KeyAlgorithm, TokenLifetime: max(o.SessionLifetime, o.Refresh.Access), Rotation: o.KeyRotation,
		MaxAge: o.KeySetAge, Now: o.Now, Random: o.world.random("keys"),
		Made: func(made auth.KeyInfo) { a.keyMade(ctx, made) },
	})
	if err != nil {
		return root, WithRemedy(err)
	}
	lists := httpapi.StatusLists(httpapi.PublicURL(o.PublicURL), o.Issuer)
	a.tokens = auth.NewTokens(a.Keys, auth.TokenOptions{
		Issuer: o.Issuer, Audience: o.Audience, StatusLists: lists, Issuers: a.Store, Now: o.Now,
		Random: o.world.random("tokens"),
	})
	if err := a.tokens.NoteIssuer(ctx); err != nil {
		if !a.issuerKnown(ctx, err) {
			return root, err
		}
		o.Log.Warn("issuer not noted", "error", err)
	}
	return root, nil
}

func (a *App) keyMade(ctx context.Context, made auth.KeyInfo) {
	a.options.Log.Info("signing key made", "kid", made.ID, "signs from", made.ActiveAt)
	err := a.Store.Record(ctx, identity.KeyChange{KeyID: made.ID, Made: true}.Events(identity.BySystem{},
		a.options.Now())...)
	if err != nil {
		a.options.Log.Error("signing key made, and not in the audit log", "kid", made.ID, "error", err)
	}
}

// issuerKnown reports whether the issuer was noted before, if err says that it cannot be noted now. So it is while
// PostgreSQL is read-only, during a failover.
func (a *App) issuerKnown(ctx context.Context, err error) bool {
	if !errs.Is(err, errs.KindUnavailable) {
		return false
	}
	used, err := a.Store.UsedIssuers(ctx)
	return err == nil && slices.ContainsFunc(used, func(u auth.UsedIssuer) bool {
		return u.Issuer == a.options.Issuer && u.Audience == a.options.Audience
	})
}

// openIdentity makes the part that finds out who is asking.
func (a *App) openIdentity(root []byte, newID func() string) error {
	o, db := &a.options, a.Store
	refresh, err := auth.NewRefreshTokens(root)
	if err != nil {
		return err
	}
	secret, err := auth.DeriveSecret(root, "conduit throttle: hashes of what is counted")
	if err != nil {
		return err
	}
	apps, err := auth.NewAuthenticators(root, siteName(o.Issuer))
	if err != nil {
		return err
	}
	refresh.Random, apps.Random = o.world.random("refresh tokens"), o.world.random("factors")
	if a.passwords = o.world.passwords(); a.passwords == nil {
		o.Hashing.Waited = a.figures.Waited
		a.passwords = auth.NewPasswords(o.Hashing)
	}
	passwords := Passwords{a.passwords, o.world.name()}
	a.Sessions = &identity.Sessions{
		Store: db, Audit: db, Tokens: tokens{a.tokens}, Refresh: refresh, Lifetime: o.SessionLifetime,
		Limits: o.Refresh, Issuer: o.Issuer, Max: o.MaxSessions, Now: o.Now, NewID: newID,
	}
	clock := o.Now
	if o.Seed != 0 {
		clock = time.Now // by a clock that stands still a delay would never end
	}
	a.Throttle = &identity.Throttle{
		Store: db, Audit: db, Now: clock, Secret: secret,
		PerPair: o.LoginAttempts, PerAccount: o.AccountAttempts, PerNetwork: o.NetworkAttempts,
		Registrations: o.RegistrationsPerHour,
	}
	a.ResourceServers = &identity.ResourceServers{Store: db, Throttle: a.Throttle, Now: o.Now}
	a.Deletions = identity.NewDeletions(db, a.removed, a.upkeepFailed)
	a.Users = &identity.Users{
		Store: db, FactorStore: db, Audit: db, Passwords: passwords, Policy: o.PasswordPolicy,
		Authenticators: authenticators{apps}, Sessions: a.Sessions, Deletions: a.Deletions, Throttle: a.Throttle,
		RequireCurrentPassword: o.RequirePassword, Reauthentication: o.Reauthentication, Codes: db,
		Verification: o.EmailVerification, Now: o.Now, Random: o.world.random("challenges"),
	}
	if a.Retries, err = a.openRetries(root); err != nil {
		return err
	}
	a.Accounts = &identity.Accounts{
		Store: db, Sessions: db, Factors: db, Audit: db, Passwords: passwords, Policy: o.PasswordPolicy,
		Deletions: a.Deletions, Now: o.Now,
	}
	return nil
}

// openRetries makes the part that carries out once what comes with a key.
func (a *App) openRetries(root []byte) (*identity.Retries, error) {
	hashes, err := auth.DeriveSecret(root, "conduit retries: hashes of requests")
	if err != nil {
		return nil, err
	}
	secret, err := auth.DeriveSecret(root, "conduit retries: answers")
	if err != nil {
		return nil, err
	}
	seals, err := auth.NewSealer(secret)
	return &identity.Retries{
		Store: a.Store, Tokens: tokens{a.tokens}, Seals: seals, Secret: hashes, Now: a.options.Now,
	}, err
}

// listen binds the port, if there is to be one, and does what depends on who will reach it.
func (a *App) listen(ctx context.Context) (hereOnly bool, err error) {
	if a.PublicURL = cmp.Or(a.options.PublicURL, string(a.options.world.publicURL())); a.options.Listen == "" {
		return a.options.HTTP.HereOnly, nil
	}
	var listening net.ListenConfig
	listening.SetMultipathTCP(false) // endArrivals needs the plain one
	if a.listener, err = listening.Listen(ctx, "tcp", a.options.Listen); err != nil {
		return false, wrong("listen", err)
	}
	a.closers = append(a.closers, func() { _ = a.listener.Close() }) // does nothing if Serve has closed it
	if a.Local, err = LocalURL(a.listener.Addr().String()); err != nil {
		return false, err
	}
	a.PublicURL = cmp.Or(a.PublicURL, a.Local)
	return a.settleDemo(ctx)
}

// streamsOfUser is how many streams of events a user has open at a time: a few devices with a few tabs each.
const streamsOfUser = 10

// openHandler makes the handler that answers requests.
func (a *App) openHandler(ctx context.Context, newID func() string) (err error) {
	o, db := &a.options, a.Store
	a.HTTP = o.HTTP
	config := &a.HTTP
	config.Users, config.Sessions, config.Passkeys, config.Keys = a.Users, a.Sessions, a.Passkeys, a.Keys
	config.ResourceServers = a.ResourceServers
	config.Accounts = a.Accounts
	config.Mails, config.Retries = a.Mails, a.Retries
	config.Exports = identity.NewExports(db, a.Users, o.Now, newID)
	config.SigningKeys = &identity.Keys{Ring: SigningKeys{a.Keys, db}, Now: o.Now}
	if lists := httpapi.StatusLists(httpapi.PublicURL(o.PublicURL), o.Issuer); lists != "" {
		config.StatusLists = &identity.StatusLists{
			Store: db, Sign: a.signList, Life: auth.StatusListTTL, Now: o.Now,
		}
	}
	config.Profiles = &blog.Profiles{Store: db}
	config.Articles = &blog.Articles{Store: db, Now: o.Now, NewID: newID}
	config.Comments = &blog.Comments{Store: db, Now: o.Now}
	a.Events = &events.Hub{
		Store: db, Limits: events.Limits{Server: o.streams(), User: streamsOfUser}, Now: o.Now, Log: o.Log,
		Render: httpapi.RenderEvent,
	}
	a.closers = append(a.closers, a.Events.Close)
	config.Events = a.Events
	if len(db.Replicas()) > 0 {
		config.Replicas = db
	}
	config.Ping, config.Schema, config.Log = db.Ping, db.UpToDate, o.Log
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Stopping == nil {
		config.Stopping = ctx.Done()
	}
	if config.OnRequest == nil {
		config.OnRequest = a.figures.Request
	}
	if a.server, err = httpapi.New(*config); err != nil {
		return fmt.Errorf("putting the handler together: %w", err)
	}
	a.Handler = a.figures.Counting(a.server)
	return nil
}

// signList signs a status list. It returns Unavailable if the signing keys cannot be opened.
func (a *App) signList(ctx context.Context, kid string, list int64, bits []byte, now time.Time) (string, error) {
	signed, err := a.tokens.SignStatusList(ctx, kid, list, bits, now)
	return signed, outage(err)
}

// openMetrics offers the figures of all rooms to Prometheus.
func (a *App) openMetrics(ctx context.Context) error {
	for name, pool := range a.Store.Pools() {
		a.figures.Pool(name, pool)
	}
	a.figures.Passwords(a.passwords)
	a.figures.Keys(a.Keys, a.options.KeyRotation)
	a.figures.Server(a.server)
	a.figures.Recall(a.Store.Recalled())
	a.figures.Mail(a.Outbox.Waiting)
	a.figures.Streams(a.Events.Figures, &a.Events.Opened, &a.Events.Refused, &a.Events.Slow, &a.Events.Resets,
		&a.Events.Delivered)
	for _, replica := range a.Store.Replicas() {
		a.showReplica(replica)
	}
	stop, err := serveMetrics(ctx, a.options.MetricsListen, a.figures, a.options.Log)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, stop)
	return nil
}

// showReplica offers the figures of a replica.
func (a *App) showReplica(replica *store.Replica) {
	reads := map[string]func() int64{}
	for outcome, name := range store.Outcomes {
		reads[name] = func() int64 { return replica.Reads(store.Outcome(outcome)) }
	}
	a.figures.Replica(replica.Name, reads, replica.Used, replica.Lag)
}
