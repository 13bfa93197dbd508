package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/auth"
	"conduit/internal/blog"
	"conduit/internal/demo"
	"conduit/internal/errs"
	"conduit/internal/httpapi"
	"conduit/internal/identity"
	"conduit/internal/metrics"
	"conduit/internal/store"
)

func serveCommand(getenv func(string) string) *cobra.Command {
	s := settings{keyAlgorithm: "EdDSA", logLevel: "info", logFormat: "text"}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: `Serve the API, until SIGINT or SIGTERM.

Private signing keys rest in the database sealed under a key-encryption key: 32 bytes in base64 from the variable
CONDUIT_KEY_ENCRYPTION_KEY, else from the file --key-file names, which the first start makes. Instances that share a
database need the same one.

OTEL_EXPORTER_OTLP_ENDPOINT, and the other standard variables of OpenTelemetry, switch traces on.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.demoAsked = cmd.Flags().Changed("demo")
			err := serve(cmd.Context(), s, getenv, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
				return nil // told to stop before it had started
			}
			return err
		},
	}
	s.addTo(command.Flags())
	return command
}

// serve is the wiring: every room, plugged together, from the database up.
func serve(ctx context.Context, s settings, getenv func(string) string, stdout, stderr io.Writer) error {
	if err := s.check(); err != nil {
		return err
	}
	public, err := httpapi.ParsePublicURL(s.publicURL)
	if err != nil {
		return badSetting("public-url", err)
	}
	s.publicURL = string(public)
	s.issuer = cmp.Or(s.issuer, s.publicURL, "conduit")
	log := newLog(s, stderr)
	now, newID := time.Now, rand.Text
	if s.seed != 0 {
		now, newID = standstill(s.seed)
	}
	tracer, stopTracing, err := startTracing(ctx, getenv, log)
	if err != nil {
		return err
	}
	defer stopTracing()
	db, err := openDatabase(ctx, opening{
		s.database, s.migrations, cmp.Or(s.connections, store.DefaultConnections()), s.migrate, tracer,
	}, log)
	if err != nil {
		return err
	}
	defer closing(log, db)
	figures := metrics.New(version)
	db.Watch(figures.Recorded)

	kek, err := findKEK(s.database, s.keyFile, getenv("CONDUIT_KEY_ENCRYPTION_KEY"), log, func() error {
		return lostKEK(ctx, db, s.keyFile)
	})
	if err != nil {
		return err
	}
	sealer, err := auth.NewSealer(kek)
	if err != nil {
		return err
	}
	root, err := auth.OpenRoot(ctx, db, kek)
	if err != nil {
		return sealedOtherwise(err)
	}
	refresh, err := auth.NewRefreshTokens(root)
	if err != nil {
		return err
	}
	keyMade := func(made auth.KeyInfo) {
		log.Info("signing key made", "kid", made.ID, "signs from", made.ActiveAt)
		if err := db.Record(ctx, identity.KeyEvent(identity.ActorSystem, identity.KeyMade, made.ID, now())); err != nil {
			log.Error("signing key made, and not in the audit log", "kid", made.ID, "error", err)
		}
	}
	keys, err := auth.OpenKeyRing(ctx, db, sealer, auth.KeyRingOptions{
		Algorithm: s.keyAlgorithm, TokenLifetime: max(s.sessionLifetime, s.refresh.Access), Rotation: s.keyRotation, Now: now,
		Made: keyMade,
	})
	if err != nil {
		return sealedOtherwise(err)
	}
	go keys.Follow(ctx, 10*time.Second, keyMade, func(err error) { log.Warn("signing keys not tended", "error", err) })
	tokens := auth.NewTokens(keys, auth.TokenOptions{Issuer: s.issuer, Audience: s.audience, Issuers: db, Now: now})
	if err := tokens.NoteIssuer(ctx); err != nil {
		if !issuerKnown(ctx, s, db, err) {
			return err
		}
		log.Warn("issuer not noted", "error", err)
	}
	go tokens.FollowIssuer(ctx, func(err error) { log.Warn("issuer not noted", "error", err) })
	sessions := &identity.Sessions{
		Store: db, Audit: db, Tokens: tokens, Refresh: refresh, Lifetime: s.sessionLifetime, Limits: s.refresh, Max: s.maxSessions, Now: now, NewID: newID,
	}
	passwords := auth.NewPasswords(auth.PasswordOptions{Waited: figures.Waited})
	policy, err := passwordPolicy(s.passwordPolicy)
	if err != nil {
		return err
	}
	secret, err := auth.DeriveSecret(root, "conduit throttle: hashes of what is counted")
	if err != nil {
		return err
	}
	throttle := &identity.Throttle{ // by the real clock, also where another stands still: else a delay would never end
		Store: db, Audit: db, Now: time.Now, Secret: secret,
		PerPair: s.attempts.pair, PerAccount: s.attempts.account, PerNetwork: s.attempts.network, Registrations: s.registrations,
	}
	users := &identity.Users{
		Store: db, Audit: db, Passwords: passwords, Policy: policy, Sessions: sessions, Throttle: throttle,
		RequireCurrentPassword: s.currentPassword, Now: now,
	}
	var listening net.ListenConfig
	listening.SetMultipathTCP(false) // endArrivals needs the plain one
	listener, err := listening.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return badSetting("listen", err)
	}
	defer func() { _ = listener.Close() }() // a second time, as a rule: the server closes it
	address, err := localURL(listener.Addr().String())
	if err != nil {
		return err
	}
	s.publicURL = cmp.Or(s.publicURL, address)
	if err := fillNew(ctx, s, db, passwords, listener.Addr(), log); err != nil {
		return err
	}
	hereOnly, err := hereOnly(ctx, s, db, passwords, listener.Addr())
	if err != nil {
		return err
	}
	if moved, err := demo.MovePictures(ctx, db, s.publicURL); err != nil {
		log.Warn("pictures of demo accounts may be elsewhere", "error", err)
	} else if moved > 0 {
		log.Info("pictures of demo accounts moved", "to", s.publicURL, "accounts", moved)
	}
	proxies, err := httpapi.ParseProxies(s.trustedProxies)
	if err != nil {
		return badSetting("trusted-proxies", err)
	}
	handler, err := httpapi.New(httpapi.Config{
		TrustedProxies: proxies, HereOnly: hereOnly, Tracer: tracer,
		Issuer:  s.issuer,
		Public:  public,
		Version: version,
		Users:   users, Sessions: sessions, Tokens: tokens, Keys: keys,
		Profiles: &blog.Profiles{Store: db},
		Articles: &blog.Articles{Store: db, Now: now, NewID: newID},
		Comments: &blog.Comments{Store: db, Now: now},
		Ping:     db.Ping, Schema: db.UpToDate, OnRequest: figures.Request,
		Log: log, Now: time.Now, Origins: s.corsOrigins,
		Rehearse: s.rehearse, CheckResponses: s.checkResponses, Stopping: ctx.Done(),
	})
	if err != nil {
		return err
	}
	for name, pool := range db.Pools() {
		figures.Pool(name, pool)
	}
	figures.Passwords(passwords)
	figures.Keys(keys, s.keyRotation)
	figures.Server(handler)
	stopMetrics, err := serveMetrics(ctx, s.metricsListen, figures, log)
	if err != nil {
		return err
	}
	defer stopMetrics()
	limitMemory()
	upkeep, stop := context.WithCancel(context.WithoutCancel(ctx)) // until the last request has ended
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		identity.Upkeep{
			Sessions: sessions, Throttle: throttle, Users: db, Audit: db, AuditRetention: time.Duration(s.auditRetention), Now: now,
			Swept:  func(removed int) { figures.Swept(removed); log.Info("sessions swept", "removed", removed) },
			Failed: func(err error) { figures.UpkeepFailed(); log.Warn("upkeep", "error", err) },
		}.Run(upkeep)
	}()
	defer func() { stop(); <-ended }() // before the database closes
	return listenAndServe(ctx, s, db, address, listener, proxies, figures.Counting(handler), log, stdout)
}

// issuerKnown says whether the issuer was noted before, where it cannot be now: as while PostgreSQL is read-only,
// during a failover.
func issuerKnown(ctx context.Context, s settings, db *store.Store, err error) bool {
	var refusal *errs.Error
	if !errors.As(err, &refusal) || refusal.Kind != errs.KindUnavailable {
		return false
	}
	used, err := db.UsedIssuers(ctx)
	return err == nil && slices.ContainsFunc(used, func(u auth.UsedIssuer) bool {
		return u.Issuer == s.issuer && u.Audience == s.audience
	})
}

// memoryLimit is how much memory the garbage collector lets the program grow to, in bytes, before it works harder. What
// is needed at once is less: passwords being hashed, and what requests may take, see [httpapi.Config].
const memoryLimit = 300 << 20

// limitMemory sets the limit unless GOMEMLIMIT does.
func limitMemory() {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// lostKEK refuses to make a key-encryption key for a database whose keys are sealed under another.
func lostKEK(ctx context.Context, db *store.Store, keyFile string) error {
	keys, err := db.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("looking for signing keys: %w", err)
	}
	if slices.ContainsFunc(keys, func(key auth.StoredKey) bool { return len(key.SealedPrivateJWK) > 0 }) {
		return badSetting("key-file", fmt.Errorf(
			"there is no file %s, and the database has signing keys sealed under a key-encryption key; %s", keyFile, remedyKEK))
	}
	return nil
}

// remedyKEK is what helps when sealed keys cannot be opened.
const remedyKEK = "give that key by CONDUIT_KEY_ENCRYPTION_KEY or as the file, or if it is lost: " +
	"conduit keys reset, which makes new signing keys and ends all sessions"

// sealedOtherwise adds to auth.ErrSealed what helps.
func sealedOtherwise(err error) error {
	if errors.Is(err, auth.ErrSealed) {
		return fmt.Errorf("%w; %s", err, remedyKEK)
	}
	return err
}

// findKEK finds the key-encryption key, under which signing keys rest. Before a file is made for a new one it asks
// whether it may be.
func findKEK(database, keyFile, fromEnvironment string, log *slog.Logger, mayMake func() error) ([]byte, error) {
	switch {
	case fromEnvironment != "":
		key, err := auth.ReadKEK(fromEnvironment)
		if err != nil {
			return nil, usagef("CONDUIT_KEY_ENCRYPTION_KEY: %w", err)
		}
		return key, nil
	case database == inMemory:
		key := make([]byte, 32) // the keys it seals end with the process
		_, _ = rand.Read(key)   // never fails
		return key, nil
	}
	if missing(keyFile) {
		// Another instance may have made both meanwhile: the file, and keys under it.
		if err := mayMake(); err != nil && missing(keyFile) {
			return nil, err
		}
	}
	key, made, err := auth.KEKFromFile(keyFile)
	if err != nil {
		return nil, badSetting("key-file", err)
	}
	if made {
		log.Info("key-encryption key made; keep it as safe as the database, and apart from it", "file", keyFile)
	}
	return key, nil
}

func missing(file string) bool {
	_, err := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist)
}

// arrivalTime is how long connections that are being opened may take until they are accepted.
const arrivalTime = 100 * time.Millisecond

func listenAndServe(
	ctx context.Context, s settings, database fmt.Stringer, address string, listener net.Listener,
	proxies httpapi.Proxies, handler http.Handler, log *slog.Logger, stdout io.Writer,
) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       s.idleTimeout,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken connections, which are no news
	}
	_, _ = io.WriteString(stdout, banner(s, address, database))
	if s.rehearse {
		log.Warn("rehearsing: whoever asks gets answers that are made up; not for production")
	}

	failed := make(chan error, 1)
	total, perNetwork := s.limits()
	limits := httpapi.Connections{Total: total, PerNetwork: perNetwork, Proxies: proxies, Log: log}
	go func() { failed <- server.Serve(limits.Limit(httpapi.Listener(listener, s.corsOrigins))) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if s.shutdownDelay > 0 {
		log.Info("about to stop: serving on until load balancers have noticed", "delay", s.shutdownDelay)
		select {
		case err := <-failed:
			return err
		case <-time.After(s.shutdownDelay):
		}
	}
	endArrivals(listener)
	time.Sleep(arrivalTime)
	log.Info("stopping: no new requests, those under way end", "timeout", s.shutdownTimeout)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return errors.Join(fmt.Errorf("requests did not end in time: %w", err), server.Close())
	}
	return nil
}

// banner says where everything is, and loudly what is not as usual.
func banner(s settings, address string, database fmt.Stringer) string {
	text := fmt.Sprintf("Conduit %s\n  API       %s/api\n  Docs      %s/docs\n  Keys      %s/.well-known/jwks.json\n",
		version, s.publicURL, s.publicURL, s.publicURL)
	if s.publicURL != address {
		text += fmt.Sprintf("  Listens   %s\n", address)
	}
	if s.rehearse {
		text += "  REHEARSAL Prefer: code=422 is answered with an example, Prefer: wait=2 delays. Not for production.\n"
	}
	if s.seed != 0 {
		text += fmt.Sprintf("  Seed      %d; the clock stands at %s\n", s.seed, demo.Now.Format(time.RFC3339))
	}
	return text + fmt.Sprintf("  Database  %s\n", database)
}

// localURL is where this machine reaches a server that listens on HOST:PORT: one that listens everywhere also
// listens on loopback.
func localURL(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", errors.New("want HOST:PORT, for example 127.0.0.1:8080")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

func newLog(s settings, stderr io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.logLevel)) // one of the words that the flag allows
	options := &slog.HandlerOptions{Level: level}
	if s.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(stderr, options))
	}
	return slog.New(slog.NewTextHandler(stderr, options))
}

func closing(log *slog.Logger, db io.Closer) {
	if err := db.Close(); err != nil {
		log.Error("closing the database", "error", err)
	}
}
