package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// variable is the environment variable of a flag: --session-lifetime is CONDUIT_SESSION_LIFETIME.
func variable(flag string) string {
	return "CONDUIT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// renamed has the flags that had another name once. The program still accepts those names, and their variables.
var renamed = map[string]string{"address-attempts": "network-attempts"}

// settingFlags are the flags of the server: they say how an installation is. Flags that say what one command does have
// no variables. Otherwise a CONDUIT_YES that was set for one command would answer the questions of all.
var settingFlags = func() *pflag.FlagSet {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	(&settings{}).addTo(flags)
	return flags
}()

// hasVariable returns whether a flag of a command is a setting: the server has the same flag, with the same meaning.
func hasVariable(command *cobra.Command, flag string) bool {
	if command.Name() == "seed" && flag == "seed" {
		return false // the server's seed is another number, and also stops the clock
	}
	return settingFlags.Lookup(flag) != nil
}

// flagsFromEnvironment sets the flags that were not given from their variables. It leaves out the blanks around values,
// which editors and shells add.
func flagsFromEnvironment(command *cobra.Command, getenv func(string) string) error {
	var problem error
	// These two flags name one thing, so either of them wins over both variables.
	database := command.Flags().Changed("database") || command.Flags().Changed("database-file")
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		given := flag.Changed || database && (flag.Name == "database" || flag.Name == "database-file")
		if problem != nil || given || !hasVariable(command, flag.Name) {
			return
		}
		value := getenv(variable(flag.Name))
		for former, name := range renamed {
			if name == flag.Name {
				value = cmp.Or(value, getenv(variable(former)))
			}
		}
		if value = strings.TrimSpace(value); value == "" {
			return
		}
		if err := command.Flags().Set(flag.Name, value); err != nil {
			problem = flagError(command, err)
		}
	})
	return problem
}

// databaseFromFile sets --database from the file that --database-file names, if that is given.
func databaseFromFile(flags *pflag.FlagSet) error {
	file := flags.Lookup("database-file")
	if file == nil || !file.Changed {
		return nil
	}
	if flags.Changed("database") {
		return badSetting("database-file", errors.New("--database is given too; say one"))
	}
	text, err := os.ReadFile(file.Value.String())
	if err != nil {
		return badSetting("database-file", err)
	}
	url := strings.TrimSpace(string(text))
	if url == "" || strings.ContainsAny(url, "\r\n") {
		return badSetting("database-file", fmt.Errorf("want one line in %s, the URL of the database", file.Value))
	}
	return flags.Set("database", url)
}

// badSetting returns the error for a wrong setting. It names the flag and its variable, and says why.
func badSetting(flag string, why error) error {
	if flag == "" {
		return usagef("%w", why)
	}
	if settingFlags.Lookup(flag) == nil {
		return usagef("--%s: %w", flag, why)
	}
	return usagef("--%s (%s): %w", flag, variable(flag), why)
}

// flagError turns an error of the flag parser into one line that names the flag.
func flagError(cmd *cobra.Command, err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return badSetting(invalid.GetFlag().Name, errors.Unwrap(err))
	}
	return usagef("%w; see %s --help", err, cmd.CommandPath())
}

// urls is a flag with URLs, separated by commas. A URL may have commas itself, between its hosts.
type urls []string

func (u *urls) String() string { return strings.Join(*u, ",") }

func (u *urls) Type() string { return "urls" }

// betweenURLs is a comma that ends a URL of PostgreSQL.
var betweenURLs = regexp.MustCompile(`\s*,\s*(postgres(ql)?://)`)

func (u *urls) Set(text string) error {
	*u = nil
	if text = strings.TrimSpace(text); text != "" {
		*u = strings.Split(betweenURLs.ReplaceAllString(text, "\n$1"), "\n")
	}
	return nil
}

// days is a flag with a duration that may be written in days.
type days time.Duration

func (d *days) String() string {
	if whole := time.Duration(*d) / (24 * time.Hour); *d != 0 && time.Duration(*d) == whole*24*time.Hour {
		return fmt.Sprintf("%dd", whole)
	}
	return time.Duration(*d).String()
}

func (d *days) Type() string { return "duration" }

func (d *days) Set(text string) error {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		count, err := strconv.ParseUint(number, 10, 16)
		*d = days(time.Duration(count) * 24 * time.Hour)
		return err
	}
	duration, err := time.ParseDuration(text)
	*d = days(duration)
	return err
}

// oneOf is a flag that takes one of a few words.
type oneOf struct {
	value   *string
	allowed []string
}

func (o oneOf) String() string { return *o.value }

func (o oneOf) Type() string { return strings.Join(o.allowed, "|") }

func (o oneOf) Set(text string) error {
	if slices.Contains(o.allowed, text) {
		*o.value = text
		return nil
	}
	return errors.New("want one of " + strings.Join(o.allowed, ", "))
}
