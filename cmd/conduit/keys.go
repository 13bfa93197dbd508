package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/identity"
	"conduit/internal/store"
)

func keysCommand(getenv func(string) string) *cobra.Command {
	s, w := &settings{}, &who{}
	s.Getenv = getenv
	command := &cobra.Command{
		Use:   "keys",
		Short: "List, rotate and revoke signing keys",
		Long: `List, rotate and revoke the keys that sign tokens. Running instances follow within seconds.

The commands need the server's key-encryption key, from CONDUIT_KEY_ENCRYPTION_KEY or from the file that --key-file
names. They also need the server's lifetimes, if it does not have the defaults.`,
	}
	s.shareWith(command.PersistentFlags(), "database", "database-file", "key-file", "key-algorithm",
		"session-lifetime", "access-lifetime")
	w.define(command.PersistentFlags())
	command.PersistentFlags().Lookup("key-algorithm").Usage += " (default that of the active key)"
	command.AddCommand(&cobra.Command{
		Use: "list", Short: "List the keys with their states and times", RunE: s.onKeys(w, listKeys),
	}, rotateCommand(s, w), revokeCommand(s, w), resetCommand(s, w), resealCommand(s, w))
	return command
}

// onKeys returns a command that opens the signing keys and does something with them.
func (s *settings) onKeys(w *who, action func(*cobra.Command, auditedKeys, []string) error,
) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		by, err := w.authority()
		if err != nil {
			return err
		}
		if s.SessionLifetime <= 0 {
			return badSetting("session-lifetime", errors.New("must be positive"))
		}
		sealer, err := s.sealer(cmd, s.noKEK)
		if err != nil {
			return err
		}
		return s.withDatabase(cmd, func(db *store.Store) error {
			keys, err := auth.LoadKeyRing(cmd.Context(), db, sealer, s.ringOptions())
			if err != nil {
				return app.WithRemedy(err)
			}
			service := &identity.Keys{Ring: app.SigningKeys{Ring: keys, Store: db}, Now: time.Now}
			return action(cmd, auditedKeys{keys, service, by}, args)
		})
	}
}

func (s *settings) ringOptions() auth.KeyRingOptions {
	return auth.KeyRingOptions{
		Algorithm: s.KeyAlgorithm, TokenLifetime: max(s.SessionLifetime, s.Refresh.Access), Now: time.Now,
	}
}

// kek returns the server's key-encryption key. If there is no file of it, mayMake says whether one may be made.
func (s *settings) kek(cmd *cobra.Command, mayMake func() error) ([]byte, error) {
	if err := s.notInMemory(); err != nil {
		return nil, err
	}
	return app.FindKEK(s.Database.URL, s.KeyFile, s.Getenv("CONDUIT_KEY_ENCRYPTION_KEY"), logOf(cmd), mayMake)
}

// sealer opens what the server's key-encryption key has sealed.
func (s *settings) sealer(cmd *cobra.Command, mayMake func() error) (*auth.Sealer, error) {
	kek, err := s.kek(cmd, mayMake)
	if err != nil {
		return nil, err
	}
	return auth.NewSealer(kek)
}

func (s *settings) notInMemory() error {
	if s.Database.URL == app.InMemory {
		return badSetting("database", errors.New("a database in memory has no keys but those of its own process"))
	}
	return nil
}

// noKEK returns the error for a key-encryption key that is not where the settings say.
func (s *settings) noKEK() error {
	return badSetting("key-file", fmt.Errorf(
		"no key-encryption key: there is no file %s, and CONDUIT_KEY_ENCRYPTION_KEY is not set", s.KeyFile))
}

// auditedKeys are keys whose changes go to the audit log.
type auditedKeys struct {
	ring    *auth.KeyRing
	service *identity.Keys
	by      identity.Authority
}

// recordKeys records in the audit log what was done to keys.
func recordKeys(
	ctx context.Context, audit identity.AuditStore, by identity.Authority, changes ...identity.KeyChange,
) error {
	var events []identity.Event
	for _, change := range changes {
		events = append(events, change.Events(by, time.Now())...)
	}
	if err := audit.Record(ctx, events...); err != nil {
		return fmt.Errorf("the keys are changed, and the audit log does not say so: %w", err)
	}
	return nil
}

func listKeys(cmd *cobra.Command, keys auditedKeys, _ []string) error {
	found, err := keys.service.List(cmd.Context(), keys.by)
	if err != nil {
		return err
	}
	return printTable(cmd, keyColumns, found, table.key)
}

func rotateCommand(s *settings, w *who) *cobra.Command {
	var now bool
	command := &cobra.Command{
		Use:   "rotate",
		Short: "Make the next key",
		Long: `Make the next key. It is published at once. It signs when everybody who keeps the public keys can know
it, which takes about ten minutes. The key before it verifies until the last of its tokens has expired.

With --now the next key signs at once. Services that read the public keys before it was published refuse its tokens
until they read them again.`,
		RunE: s.onKeys(w, func(cmd *cobra.Command, keys auditedKeys, _ []string) error {
			key, made, err := keys.service.Rotate(cmd.Context(), keys.by, now)
			switch {
			case err != nil:
				return err
			case now:
				return say(cmd, "%s signs from now on\n%s", key.ID, unknownKey(keys, key))
			case made:
				return say(cmd, "%s is published and signs from %s", key.ID, activeFrom(key))
			}
			return say(cmd, "%s waits already and signs from %s; --now does not wait", key.ID, activeFrom(key))
		}),
	}
	command.Flags().BoolVar(&now, "now", false, "let the next key sign at once, in an emergency")
	return command
}

func revokeCommand(s *settings, w *who) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke KID",
		Short: "End a key and all its tokens at once",
		Long: `End a key and all its tokens at once. Whoever has such a token must log in again, or refresh. A revoked
key stays revoked.

If the key is the active one, the next key takes its place. If no key waits, a new one is made.

Write a KID that begins with a dash behind two dashes: conduit keys revoke -- -KID`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%s takes one KID; see conduit keys list", cmd.CommandPath())
			}
			return nil
		},
		RunE: s.onKeys(w, revokeKey),
	}
}

func revokeKey(cmd *cobra.Command, keys auditedKeys, args []string) error {
	kid := args[0]
	replacement, err := keys.service.Revoke(cmd.Context(), keys.by, kid)
	switch {
	case isNotFound(err):
		return fmt.Errorf("there is no key %s; see conduit keys list", kid)
	case err != nil:
		return err
	}
	done := fmt.Sprintf("%s is revoked, and with it all its tokens\n"+
		"warning: services that check tokens by the public keys alone accept them until they read the keys again, "+
		"at most %g minutes", kid, keys.ring.MaxAge().Minutes())
	if replacement != nil {
		done += fmt.Sprintf("\n%s signs in its place\n%s", replacement.ID, unknownKey(keys, *replacement))
	}
	return say(cmd, "%s", done)
}

// unknownKey warns that others do not know a key that signs at once.
func unknownKey(keys auditedKeys, key identity.Key) string {
	return fmt.Sprintf("warning: services that read the public keys before %s do not know it until they read them "+
		"again, at most %g minutes", moment(key.CreatedAt), keys.ring.MaxAge().Minutes())
}
