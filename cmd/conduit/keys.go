package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/identity"
)

// keySettings are what a command needs to get at the keys, with the names and defaults that they have for the server.
type keySettings struct {
	database        string
	keyFile         string
	keyAlgorithm    string
	sessionLifetime time.Duration
	accessLifetime  time.Duration
}

func keysCommand(getenv func(string) string) *cobra.Command {
	var s keySettings
	command := &cobra.Command{
		Use:   "keys",
		Short: "List, rotate and revoke signing keys",
		Long: `List, rotate and revoke the keys that sign tokens. Running instances follow within seconds.

The commands need the key-encryption key of the server: CONDUIT_KEY_ENCRYPTION_KEY, or the file --key-file names.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := command.PersistentFlags()
	databaseFlag(flags, &s.database)
	flags.StringVar(&s.keyFile, "key-file", "conduit.key", "`file` of the key-encryption key")
	flags.Var(oneOf{&s.keyAlgorithm, []string{"EdDSA", "ES256"}}, "key-algorithm",
		"algorithm of a new signing key (default that of the active one)")
	flags.DurationVar(&s.sessionLifetime, "session-lifetime", 24*time.Hour,
		"how long a login lasts, as the server has it")
	flags.DurationVar(&s.accessLifetime, "access-lifetime", 15*time.Minute,
		"how long an access token lasts, as the server has it")

	// on runs a command on the keys.
	type action = func(ctx context.Context, keys auditedKeys, out io.Writer, args []string) error
	on := func(run action) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			if s.sessionLifetime <= 0 {
				return badSetting("session-lifetime", errors.New("must be positive"))
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			sealer, err := s.sealer(getenv("CONDUIT_KEY_ENCRYPTION_KEY"), log, s.noKEK)
			if err != nil {
				return err
			}
			db, err := app.OpenDatabase(cmd.Context(), app.Database{URL: s.database}, log)
			if err != nil {
				return err
			}
			defer closing(log, db)
			keys, err := auth.LoadKeyRing(cmd.Context(), db, sealer, auth.KeyRingOptions{
				Algorithm: s.keyAlgorithm, TokenLifetime: max(s.sessionLifetime, s.accessLifetime), Now: time.Now,
			})
			if err != nil {
				return app.WithRemedy(err)
			}
			return run(cmd.Context(), auditedKeys{keys, db}, cmd.OutOrStdout(), args)
		}
	}
	command.AddCommand(&cobra.Command{
		Use: "list", Short: "List the keys and what they are good for", Args: noArguments, RunE: on(listKeys),
	})
	var now bool
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Make the next key",
		Long: `Make the next key. It is published at once, and signs when everybody who keeps the public keys can know
it, which takes about ten minutes. The key before it verifies until the last of its tokens has expired.

With --now the next key signs at once. Services that read the public keys before it was published refuse its tokens
until they read them again.`,
		Args: noArguments,
		RunE: on(func(ctx context.Context, keys auditedKeys, out io.Writer, _ []string) error {
			return rotateKeys(ctx, keys, out, now)
		}),
	}
	rotate.Flags().BoolVar(&now, "now", false, "sign with it at once, for emergencies")
	command.AddCommand(rotate, &cobra.Command{
		Use:   "revoke KID",
		Short: "End a key and all its tokens at once",
		Long: `End a key and all its tokens at once: whoever has one has to log in again, or to refresh. It cannot be
taken back.

If the key is the active one, the next key takes its place, or a new one when none waits.

A KID that begins with a dash is written after two: conduit keys revoke -- -KID`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%s takes one KID; see conduit keys list", cmd.CommandPath())
			}
			return nil
		},
		RunE: on(revokeKey),
	})
	var yes bool
	reset := &cobra.Command{
		Use:   "reset",
		Short: "Make the signing keys new and end all sessions, when the key-encryption key is lost",
		Long: `Make the signing keys new and end all sessions, when the key-encryption key is lost: nobody can open the
signing keys any more. The new one rests under the key-encryption key of CONDUIT_KEY_ENCRYPTION_KEY or of the file,
which is made when there is none. End the servers before: those with another key-encryption key can log nobody in
afterwards, and /healthz is 503.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.reset(cmd, getenv("CONDUIT_KEY_ENCRYPTION_KEY"), yes)
		},
	}
	reset.Flags().BoolVar(&yes, "yes", false, "do not ask")
	command.AddCommand(reset, resealCommand(&s, getenv))
	return command
}

func (s keySettings) reset(cmd *cobra.Command, fromEnvironment string, yes bool) error {
	if s.database == app.InMemory {
		return errKeysInMemory
	}
	ctx, log := cmd.Context(), slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	db, err := app.OpenDatabase(ctx, app.Database{URL: s.database}, log)
	if err != nil {
		return err
	}
	defer closing(log, db)
	if !yes {
		if err := confirmed(cmd, "This ends all signing keys, and all sessions of everybody: all have to log in "+
			"again, and services that keep the "+
			"public keys refuse the new tokens until they read those again.", "reset", "reset"); err != nil {
			return err
		}
	}
	sealer, err := s.sealer(fromEnvironment, log, func() error { return nil })
	if err != nil {
		return err
	}
	made, gone, err := auth.ResetKeyRing(ctx, db, sealer, auth.KeyRingOptions{
		Algorithm: s.keyAlgorithm, TokenLifetime: max(s.sessionLifetime, s.accessLifetime), Now: time.Now,
	})
	if err != nil {
		return err
	}
	var changes []identity.KeyChange
	for _, kid := range gone {
		changes = append(changes, identity.KeyChange{KeyID: kid, Revoked: true})
	}
	changes = append(changes, identity.KeyChange{KeyID: made.ID, Made: true})
	if err := (auditedKeys{audit: db}).record(ctx, changes...); err != nil {
		return err
	}
	ended, err := (&identity.Accounts{Store: db, Sessions: db, Audit: db, Now: time.Now}).RevokeSessions(ctx, 0)
	return saying(cmd, err, "%s signs from now on; %d keys are gone, and %d sessions have ended", made.ID, len(gone),
		ended)
}

var errKeysInMemory = badSetting("database", errors.New("a database in memory has no keys but those of its own "+
	"process"))

// auditedKeys are keys whose changes the audit log is told of.
type auditedKeys struct {
	*auth.KeyRing
	audit identity.AuditStore
}

// record says in the audit log what was done to keys.
func (k auditedKeys) record(ctx context.Context, changes ...identity.KeyChange) error {
	var events []identity.Event
	for _, change := range changes {
		events = append(events, change.Events(identity.ActorCLI, time.Now())...)
	}
	if err := k.audit.Record(ctx, events...); err != nil {
		return fmt.Errorf("the keys are changed, and the audit log does not say so: %w", err)
	}
	return nil
}

func listKeys(_ context.Context, keys auditedKeys, out io.Writer, _ []string) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KID\tALGORITHM\tSTATE\tCREATED\tACTIVE FROM\tVERIFIES UNTIL")
	for _, key := range keys.Keys() {
		until := "-" // no key follows
		if !key.EndsAt.IsZero() {
			until = moment(key.EndsAt)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", key.ID, key.Algorithm, key.State, moment(key.CreatedAt),
			activeFrom(key), until)
	}
	return table.Flush()
}

func rotateKeys(ctx context.Context, keys auditedKeys, out io.Writer, atOnce bool) error {
	key, made, err := keys.Rotate(ctx, atOnce)
	if err != nil {
		return err
	}
	if err := keys.record(ctx, identity.KeyChange{KeyID: key.ID, Made: made, ActivatedEarly: atOnce}); err != nil {
		return err
	}
	switch {
	case atOnce:
		_, _ = fmt.Fprintf(out, "%s signs from now on\n", key.ID)
		warnVerifiers(out, keys, key)
	case made:
		_, _ = fmt.Fprintf(out, "%s is published and signs from %s\n", key.ID, activeFrom(key))
	default:
		_, _ = fmt.Fprintf(out, "%s waits already and signs from %s; --now does not wait\n", key.ID, activeFrom(key))
	}
	return nil
}

func revokeKey(ctx context.Context, keys auditedKeys, out io.Writer, args []string) error {
	before := map[string]auth.KeyState{}
	for _, key := range keys.Keys() {
		before[key.ID] = key.State
	}
	replacement, err := keys.Revoke(ctx, args[0])
	if errors.Is(err, auth.ErrUnknownKey) {
		return fmt.Errorf("there is no key %s; see conduit keys list", args[0])
	}
	if err != nil {
		return err
	}
	changes := []identity.KeyChange{{KeyID: args[0], Revoked: before[args[0]] != auth.KeyRevoked}}
	if replacement != nil {
		changes = append(changes, identity.KeyChange{
			KeyID: replacement.ID, Made: before[replacement.ID] == "", ActivatedEarly: true,
		})
	}
	if err := keys.record(ctx, changes...); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%s is revoked, and with it all its tokens\n", args[0])
	_, _ = fmt.Fprintf(out, "warning: services that check tokens by the public keys alone take them until they read "+
		"the keys again, at most %g minutes\n", keys.MaxAge().Minutes())
	if replacement != nil {
		_, _ = fmt.Fprintf(out, "%s signs in its place\n", replacement.ID)
		warnVerifiers(out, keys, *replacement)
	}
	return nil
}

func warnVerifiers(out io.Writer, keys auditedKeys, key auth.KeyInfo) {
	_, _ = fmt.Fprintf(out, "warning: services that read the public keys before %s do not know it until they read "+
		"them again, at most %g minutes\n",
		moment(key.CreatedAt), keys.MaxAge().Minutes())
}

// activeFrom is when a key began to sign: not before it was made, even when it took the place of an older one.
func activeFrom(key auth.KeyInfo) string {
	if key.ActiveAt.Before(key.CreatedAt) {
		return moment(key.CreatedAt)
	}
	return moment(key.ActiveAt)
}

func moment(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05Z") }

// sealer opens the keys of a server. If there is no file, it asks whether one may be made.
func (s keySettings) sealer(fromEnvironment string, log *slog.Logger, mayMake func() error) (*auth.Sealer, error) {
	if s.database == app.InMemory {
		return nil, errKeysInMemory
	}
	kek, err := app.FindKEK(s.database, s.keyFile, fromEnvironment, log, mayMake)
	if err != nil {
		return nil, err
	}
	return auth.NewSealer(kek)
}
