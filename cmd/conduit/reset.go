package main

import (
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/auth"
	"conduit/internal/identity"
	"conduit/internal/store"
)

func resetCommand(s *settings, w *who) *cobra.Command {
	var yes bool
	command := &cobra.Command{
		Use:   "reset",
		Short: "Replace all signing keys and end all sessions, when the key-encryption key is lost",
		Long: `Replace all signing keys and end all sessions, when the key-encryption key is lost and nobody can open
the signing keys any more. The new signing key is sealed under the key-encryption key of CONDUIT_KEY_ENCRYPTION_KEY or
of the file, which is made if it is missing.

Stop the servers first. Afterwards a server with another key-encryption key can log nobody in, and its /healthz is
503.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.reset(cmd, w, yes) },
	}
	yesFlag(command, &yes)
	return command
}

func (s *settings) reset(cmd *cobra.Command, w *who, yes bool) error {
	by, err := w.authority()
	if err != nil {
		return err
	}
	if err := s.notInMemory(); err != nil {
		return err
	}
	return s.withDatabase(cmd, func(db *store.Store) error {
		const loses = "This ends all signing keys and everybody's sessions: all have to log in again, and services " +
			"that keep the public keys refuse the new tokens until they read those again."
		if err := confirm(cmd, yes, loses, "reset", "reset"); err != nil {
			return err
		}
		sealer, err := s.sealer(cmd, func() error { return nil })
		if err != nil {
			return err
		}
		made, gone, err := auth.ResetKeyRing(cmd.Context(), db, sealer, s.ringOptions())
		if err != nil {
			return err
		}
		var changes []identity.KeyChange
		for _, kid := range gone {
			changes = append(changes, identity.KeyChange{KeyID: kid, Revoked: true})
		}
		changes = append(changes, identity.KeyChange{KeyID: made.ID, Made: true})
		if err := recordKeys(cmd.Context(), db, by, changes...); err != nil {
			return err
		}
		accounts := identity.Accounts{Store: db, Sessions: db, Audit: db, Now: time.Now}
		ended, err := accounts.RevokeSessions(cmd.Context(), by, 0)
		return saying(cmd, err, "%s signs from now on; %d keys are gone, and %d sessions have ended",
			made.ID, len(gone), ended)
	})
}
