package main

import (
	"bytes"

	"github.com/spf13/cobra"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/identity"
	"conduit/internal/store"
)

const newKEKVariable = "CONDUIT_NEW_KEY_ENCRYPTION_KEY"

func resealCommand(s *settings, w *who) *cobra.Command {
	var newKeyFile string
	command := &cobra.Command{
		Use:   "reseal",
		Short: "Seal the signing keys under a new key-encryption key",
		Long: `Seal the signing keys under a new key-encryption key. The signing keys stay, so nobody is logged out.

The present key-encryption key is found as always. The new one comes from ` + newKEKVariable + ` or from
the file that --new-key-file names, which is made if it is missing. Afterwards restart each server with the new
key-encryption key, one after the other, before the next rotation. Until then they go on with the signing keys they
have. If one of them made a key under the former key-encryption key meanwhile, run the command once more.

If the former key-encryption key has leaked, the signing keys may have leaked too, with any old copy of the database.
Then replace them as well: conduit keys rotate --now, and conduit keys revoke for the former ones.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.reseal(cmd, w, newKeyFile) },
	}
	command.Flags().StringVar(&newKeyFile, "new-key-file", "", "`file` of the new key-encryption key, made if missing")
	return command
}

func (s *settings) reseal(cmd *cobra.Command, w *who, newKeyFile string) error {
	by, err := w.authority()
	if err != nil {
		return err
	}
	if err := s.notInMemory(); err != nil {
		return err
	}
	given := s.Getenv(newKEKVariable)
	switch {
	case given != "" && newKeyFile != "":
		return usagef("%s is set and --new-key-file is given: say one", newKEKVariable)
	case given == "" && newKeyFile == "":
		return usagef("no new key-encryption key: give --new-key-file or %s", newKEKVariable)
	}
	former, err := s.kek(cmd, s.noKEK)
	if err != nil {
		return err
	}
	return s.withDatabase(cmd, func(db *store.Store) error {
		next, err := newKEK(given, newKeyFile)
		if err != nil {
			return err
		}
		if bytes.Equal(former, next) {
			return usagef("the new key-encryption key is the present one")
		}
		resealed, err := auth.Reseal(cmd.Context(), db, former, next)
		if err != nil {
			return app.WithRemedy(err)
		}
		var changes []identity.KeyChange
		for _, kid := range resealed {
			changes = append(changes, identity.KeyChange{KeyID: kid, Resealed: true})
		}
		return saying(cmd, recordKeys(cmd.Context(), db, by, changes...), "%d keys are sealed under the new "+
			"key-encryption key; restart each server with it, and keep the former one as long as there are backups "+
			"that need it", len(resealed))
	})
}

// newKEK reads the new key-encryption key from a text, or else from a file, which it makes if it is missing.
func newKEK(text, file string) ([]byte, error) {
	if text != "" {
		kek, err := auth.ReadKEK(text)
		if err != nil {
			return nil, usagef("%s: %w", newKEKVariable, err)
		}
		return kek, nil
	}
	kek, _, err := auth.KEKFromFile(file)
	if err != nil {
		return nil, badSetting("new-key-file", err)
	}
	return kek, nil
}
