package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/store"
)

func clientsCommand() *cobra.Command {
	var s settings
	command := &cobra.Command{
		Use:   "clients",
		Short: "Register services that may ask whether a token counts",
		Long: `Register resource servers: services that are shown tokens, and ask whether they count, by
POST /api/introspect. Running instances follow at once.

Each has an id and a secret. The secret is shown once, for the database has no more than its hash.`,
	}
	s.shareWith(command.PersistentFlags(), "database", "database-file")
	var w who
	w.define(command.PersistentFlags())
	named := func(use, short string, run func(registrar, string) error) *cobra.Command {
		added := &cobra.Command{Use: use, Short: short, RunE: s.onClients(&w,
			func(r registrar, args []string) error {
				err := run(r, args[0])
				if isNotFound(err) {
					return fmt.Errorf("there is no client %q; see conduit clients list", args[0])
				}
				return err
			})}
		command.AddCommand(added)
		return added
	}

	command.AddCommand(&cobra.Command{Use: "list", Short: "List the clients with their secrets' times",
		RunE: s.onClients(&w, func(r registrar, _ []string) error {
			found, err := r.servers.List(r.cmd.Context())
			if err != nil {
				return err
			}
			return printTable(r.cmd, clientColumns, found, table.client)
		})})
	named("add NAME", "Register a client, and show its id and secret",
		func(r registrar, name string) error {
			made, err := r.servers.Add(r.cmd.Context(), r.by, name)
			return showCredentials(r.cmd, made, err)
		})
	var overlap time.Duration
	rotate := named("rotate ID", "Give a client another secret, and show it",
		func(r registrar, id string) error {
			if overlap < 0 {
				return badSetting("overlap", errors.New("must not be negative"))
			}
			made, err := r.servers.Rotate(r.cmd.Context(), r.by, id, overlap)
			return showCredentials(r.cmd, made, err)
		})
	rotate.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the secrets before it still count")
	named("remove ID", "Remove a client: its secrets end at once",
		func(r registrar, id string) error {
			return saying(r.cmd, r.servers.Remove(r.cmd.Context(), r.by, id), "%s is removed", id)
		})
	return command
}

// registrar is a command on resource servers, with whoever runs it.
type registrar struct {
	cmd     *cobra.Command
	servers *identity.ResourceServers
	by      identity.Authority
}

// onClients returns a command on resource servers.
func (s *settings) onClients(
	w *who, action func(registrar, []string) error,
) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if s.Database.URL == app.InMemory {
			return badSetting("database", errors.New("a database in memory is its own process's alone"))
		}
		by, err := w.authority()
		if err != nil {
			return err
		}
		return s.withDatabase(cmd, func(db *store.Store) error {
			return action(registrar{cmd, &identity.ResourceServers{Store: db, Now: time.Now}, by}, args)
		})
	}
}

func showCredentials(cmd *cobra.Command, made identity.Credentials, err error) error {
	return saying(cmd, err, "ID      %s\nSecret  %s\nNobody can show the secret again.", made.ID, made.Secret)
}
