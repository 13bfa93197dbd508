package main

import (
	"bytes"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/identity"
)

const newKEKVariable = "CONDUIT_NEW_KEY_ENCRYPTION_KEY"

func resealCommand(s *keySettings, getenv func(string) string) *cobra.Command {
	var newKeyFile string
	command := &cobra.Command{
		Use:   "reseal",
		Short: "Seal the signing keys under another key-encryption key",
		Long: `Seal the signing keys under another key-encryption key, without a new one of them: nobody is logged out.

The present key-encryption key is found as always; the other one is ` + newKEKVariable + `, or the
file that --new-key-file names, which is made when there is none. Afterwards start each server again with the other
key-encryption key, one after the other. Those that still run go on with the signing keys they have, and have to be
gone before the next rotation; should one have made a key under the former key-encryption key meanwhile, run the
command once more.

If the former key-encryption key has leaked, so may the signing keys have, with any old copy of the database: rotate
them too, and revoke the former ones (conduit keys rotate --now, conduit keys revoke).`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.reseal(cmd, getenv("CONDUIT_KEY_ENCRYPTION_KEY"), getenv(newKEKVariable), newKeyFile)
		},
	}
	command.Flags().StringVar(&newKeyFile, "new-key-file", "",
		"`file` of the other key-encryption key, made when missing")
	return command
}

func (s keySettings) reseal(cmd *cobra.Command, formerText, nextText, newKeyFile string) error {
	switch {
	case s.database == app.InMemory:
		return errKeysInMemory
	case nextText != "" && newKeyFile != "":
		return usagef("%s is set, and --new-key-file given: say one", newKEKVariable)
	case nextText == "" && newKeyFile == "":
		return usagef("no other key-encryption key: give --new-key-file or %s", newKEKVariable)
	}
	ctx, log := cmd.Context(), slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	former, err := app.FindKEK(s.database, s.keyFile, formerText, log, s.noKEK)
	if err != nil {
		return err
	}
	db, err := app.OpenDatabase(ctx, app.Database{URL: s.database}, log)
	if err != nil {
		return err
	}
	defer closing(log, db)
	next, err := otherKEK(nextText, newKeyFile)
	if err != nil {
		return err
	}
	if bytes.Equal(former, next) {
		return usagef("the other key-encryption key is the present one")
	}
	resealed, err := auth.Reseal(ctx, db, former, next)
	if err != nil {
		return app.WithRemedy(err)
	}
	var changes []identity.KeyChange
	for _, kid := range resealed {
		changes = append(changes, identity.KeyChange{KeyID: kid, Resealed: true})
	}
	if err := (auditedKeys{audit: db}).record(ctx, changes...); err != nil {
		return err
	}
	return saying(cmd, nil, "%d keys are sealed under the other key-encryption key; start each server again with it, "+
		"and keep the former one as long as backups that need it", len(resealed))
}

// otherKEK reads the key-encryption key to come, from a variable's text or a file, which it makes if there is none.
func otherKEK(text, file string) ([]byte, error) {
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

// noKEK is the error for a key-encryption key that is not where the settings say.
func (s keySettings) noKEK() error {
	return badSetting("key-file", fmt.Errorf(
		"no key-encryption key: there is no file %s, and CONDUIT_KEY_ENCRYPTION_KEY is not set", s.keyFile))
}
