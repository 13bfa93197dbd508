package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"conduit/internal/app"
	"conduit/internal/demo"
	"conduit/internal/identity"
	"conduit/internal/store"
)

// say prints a line.
func say(cmd *cobra.Command, format string, args ...any) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	return err
}

// saying reports what was done, unless there was an error.
func saying(cmd *cobra.Command, err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return say(cmd, format, args...)
}

// table prints rows in columns. Flush prints the last of it.
type table struct{ *tabwriter.Writer }

// newTable begins a table with a heading, unless that is empty.
func newTable(cmd *cobra.Command, heading string) table {
	t := table{tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)}
	if heading != "" {
		_ = t.row(heading) // Flush has the error
	}
	return t
}

func (t table) row(cells ...any) error {
	_, err := fmt.Fprintf(t, strings.Repeat("%v\t", len(cells)-1)+"%v\n", cells...)
	return err
}

// printTable prints a table of values.
func printTable[T any](cmd *cobra.Command, heading string, values []T, row func(table, T) error) error {
	t := newTable(cmd, heading)
	for _, value := range values {
		_ = row(t, value) // Flush has the error
	}
	return t.Flush()
}

const accountColumns = "ID\tUSERNAME\tEMAIL\tROLE\tSTATE\tCREATED\tARTICLES"

func (t table) account(account identity.Account) error {
	state := "active"
	if account.DisabledAt != nil {
		state = "disabled"
	}
	return t.row(account.ID, printable(account.Username), printable(account.Email), account.Role, state,
		moment(account.CreatedAt), account.Articles)
}

const sessionColumns = "ID\tUSER\tCREATED\tLAST SEEN\tEXPIRES\tIP ADDRESS\tUSER AGENT"

func (t table) session(session identity.AccountSession) error {
	return t.row(session.ID, printable(session.Username), moment(session.CreatedAt), moment(session.LastSeenAt),
		moment(session.ExpiresAt), printable(session.IPAddress), printable(session.UserAgent))
}

const clientColumns = "ID\tNAME\tCREATED\tSECRETS"

func (t table) client(client identity.ResourceServer) error {
	var secrets []string
	for _, secret := range client.Secrets {
		text := "since " + moment(secret.CreatedAt)
		if secret.EndsAt != nil {
			text += " until " + moment(*secret.EndsAt)
		}
		secrets = append(secrets, text)
	}
	return t.row(client.ID, printable(client.Name), moment(client.CreatedAt), strings.Join(secrets, ", "))
}

const eventColumns = "TIME\tACTOR\tACTION\tTARGET\tIP ADDRESS\tREQUEST\tUSER AGENT"

func (t table) event(event identity.Event) error {
	actor, action := string(event.Actor), string(event.Action)
	switch {
	case event.Actor == identity.ActorUser && event.ActorID != nil:
		actor = identity.UserTarget(*event.ActorID)
	case event.ActorID != nil:
		actor += fmt.Sprint(":", *event.ActorID)
	case event.ActorName != "":
		actor += ":" + printable(event.ActorName)
	}
	if event.Count > 1 {
		action += fmt.Sprintf(" ×%d", event.Count)
	}
	return t.row(moment(event.At), actor, action, event.Target, cmp.Or(event.IPAddress, "-"),
		cmp.Or(event.RequestID, "-"), cmp.Or(escaped(event.UserAgent), "-"))
}

const keyColumns = "KID\tALGORITHM\tSTATE\tCREATED\tACTIVE FROM\tVERIFIES UNTIL"

func (t table) key(key identity.Key) error {
	until := "-" // no key follows
	if !key.EndsAt.IsZero() {
		until = moment(key.EndsAt)
	}
	return t.row(key.ID, key.Algorithm, key.State, moment(key.CreatedAt), activeFrom(key), until)
}

func (t table) migration(migration store.Migration) error {
	state := "pending"
	if !migration.AppliedAt.IsZero() {
		state = "applied " + moment(migration.AppliedAt)
	}
	if !migration.Known() {
		state += ", unknown to this version"
	}
	return t.row(migration.Name, state)
}

// printJSON prints events for programs, an object a line.
func printJSON(out io.Writer, events []identity.Event) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, event := range events {
		if err := lines.Encode(struct {
			ID        int64           `json:"id"`
			At        time.Time       `json:"at"`
			Actor     identity.Actor  `json:"actor"`
			ActorID   *int64          `json:"actorId"`
			Action    identity.Action `json:"action"`
			Target    string          `json:"target"`
			IPAddress string          `json:"ipAddress"`
			UserAgent string          `json:"userAgent"`
			RequestID string          `json:"requestId"`
			Count     int64           `json:"count"`

			ClientRequestID string `json:"clientRequestId"`
			ActorName       string `json:"actorName"`
		}(event)); err != nil {
			return err
		}
	}
	return nil
}

func moment(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05Z") }

// activeFrom is when a key began to sign: not before it was made, even when it took the place of an older one.
func activeFrom(key identity.Key) string {
	return moment(slices.MaxFunc([]time.Time{key.ActiveAt, key.CreatedAt}, time.Time.Compare))
}

// printable keeps what clients made up from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, text)
}

// escaped is printable for the audit log, which shows what was sent.
func escaped(text string) string {
	quoted := strconv.QuoteToGraphic(text)
	return quoted[1 : len(quoted)-1]
}

// banner says where everything is, and what is out of the ordinary.
func banner(s settings, conduit *app.App) string {
	text := fmt.Sprintf(`Conduit %s
  API       %[2]s/api
  Docs      %[2]s/docs
  Keys      %[2]s/.well-known/jwks.json
`, version, conduit.PublicURL)
	if conduit.PublicURL != conduit.Local {
		text += fmt.Sprintf("  Listens   %s\n", conduit.Local)
	}
	if s.HTTP.Rehearse {
		text += "  REHEARSAL Prefer: code=422 is answered with an example, Prefer: wait=2 delays. Not for production.\n"
	}
	if s.Worlds.On {
		text += fmt.Sprintf("  WORLDS    %s/worlds makes servers for tests. Never in production.\n", conduit.PublicURL)
	}
	if s.Seed != 0 {
		text += fmt.Sprintf("  Seed      %d; the clock stands at %s\n", s.Seed, demo.Now.Format(time.RFC3339))
	}
	return text + fmt.Sprintf("  Database  %s\n", conduit.Store)
}

// terminalOf returns the terminal at which a person can be asked, or nil where answers come from a pipe.
func terminalOf(cmd *cobra.Command) *os.File {
	if file, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return file
	}
	return nil
}

// askPassword asks twice without echo, or takes the first line of a pipe.
func askPassword(cmd *cobra.Command) (string, error) {
	if terminalOf(cmd) == nil {
		return readLine(cmd)
	}
	first, err := askUnseen(cmd, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := askUnseen(cmd, "Once more: ")
	if err == nil && first != second {
		err = errors.New("these were two different passwords")
	}
	return first, err
}

func askUnseen(cmd *cobra.Command, prompt string) (string, error) {
	fd := int(terminalOf(cmd).Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(fd, before) }() // also when a signal comes first
	_, _ = fmt.Fprint(cmd.ErrOrStderr(), prompt)
	defer func() { _, _ = fmt.Fprintln(cmd.ErrOrStderr()) }() // the end of the line had no echo either
	return await(cmd.Context(), func() (string, error) {
		text, err := term.ReadPassword(fd)
		return string(text), err
	})
}

// confirm asks before something is lost, unless --yes was given: a person has to type the word, which the prompt calls
// wordName. Without a terminal to ask at, the command is refused.
func confirm(cmd *cobra.Command, yes bool, loses, wordName, word string) error {
	if yes {
		return nil
	}
	if terminalOf(cmd) == nil {
		return usagef("%s asks first, and there is no terminal to ask at: say --yes. %s", cmd.CommandPath(), loses)
	}
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s Type %s: ", loses, wordName)
	answer, err := readLine(cmd)
	if err == nil && answer != word {
		err = errors.New("that is another word: nothing is done")
	}
	return err
}

// readLine reads a line of at most 4096 bytes, which is more than any answer has.
func readLine(cmd *cobra.Command) (string, error) {
	return await(cmd.Context(), func() (string, error) {
		text, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 4096)).ReadString('\n')
		switch {
		case errors.Is(err, io.EOF) && len(text) == 4096:
			return "", errors.New("the line is too long")
		case errors.Is(err, io.EOF):
			err = nil
		}
		return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), err
	})
}

// await waits for an answer until the program has to end. Nothing stops the reading; it ends with the process.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := read()
		answers <- answer{text, err}
	}()
	select {
	case got := <-answers:
		return got.text, got.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
