package main

import (
	"cmp"
	"errors"
	"os"
	"os/user"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"conduit/internal/identity"
)

// who is who runs a command that changes accounts, sessions or keys. The audit log keeps the name.
type who struct{ name string }

func (w *who) define(flags *pflag.FlagSet) {
	flags.StringVar(&w.name, "as", "", "`name` of who runs the command, for the audit log (default the system's user)")
}

// authority returns what the command does things by.
func (w *who) authority() (identity.Authority, error) {
	name := cmp.Or(w.name, systemUser())
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	var problem error
	switch {
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, hidden):
		problem = errors.New("want a name that can be printed, without blanks around it")
	case len(name) > mostName || !utf8.ValidString(name):
		problem = errors.New("want a name of at most 64 bytes, in UTF-8")
	default:
		return identity.AsOperator(name), nil
	}
	return identity.Authority{}, badSetting("as", problem)
}

// mostName is how long a name may be, in bytes.
const mostName = 64

// systemUser returns what the system calls who runs the process. In a container it may know a number alone.
func systemUser() string {
	if found, err := user.Current(); err == nil && found.Username != "" {
		return strings.ToValidUTF8(found.Username[:min(len(found.Username), mostName)], "")
	}
	return "uid " + strconv.Itoa(os.Getuid())
}
