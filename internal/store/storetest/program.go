package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Database is a PostgreSQL database of its holder's own.
type Database struct {
	DSN string

	server, name string
}

// NewDatabase is [Postgres] for programs, which have no test that could drop the database at its end: they call Drop.
// The private server, if that is the one, stays for as long as the program runs.
func NewDatabase() (*Database, error) {
	server, given := os.LookupEnv(serverVariable)
	if given = given && server != ""; !given {
		var err error
		if server, err = sharedServer(); err != nil {
			return nil, err
		}
	}
	// 130 random bits: no other test, package or checkout on the same server can have taken the name.
	d := &Database{server: server, name: "conduit_test_" + strings.ToLower(rand.Text())}
	var err error
	if d.DSN, err = withDatabase(server, d.name); err == nil {
		// template0 is empty on every server; template1 has what the owner of the server put there.
		err = execute(server, "create database "+d.name+" template template0")
	}
	if err != nil && given {
		err = fmt.Errorf("%s: %w", serverVariable, err)
	}
	return d, err
}

// Drop drops the database, even if connections to it are open.
func (d *Database) Drop() error {
	return execute(d.server, "drop database "+d.name+" with (force)")
}

// ServerVersion is the version of the server, as it tells it.
func (d *Database) ServerVersion() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.server)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	return conn.PgConn().ParameterStatus("server_version"), nil
}
