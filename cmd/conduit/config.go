package main

import (
	"cmp"
	"errors"
	"fmt"
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

// formerly are the names that flags had once, which are still taken, as are their variables.
var formerly = map[string]string{"network-attempts": "address-attempts"}

// flagsFromEnvironment sets the flags that were not given from their variables.
func flagsFromEnvironment(flags *pflag.FlagSet, getenv func(string) string) error {
	var problem error
	flags.VisitAll(func(flag *pflag.Flag) {
		value := getenv(variable(flag.Name))
		if former, renamed := formerly[flag.Name]; renamed {
			value = cmp.Or(value, getenv(variable(former)))
		}
		if problem != nil || flag.Changed || value == "" || flag.Name == "help" {
			return
		}
		if err := flag.Value.Set(value); err != nil {
			problem = badSetting(flag.Name, err)
		}
	})
	return problem
}

// badSetting says which setting is wrong, by both its names, and why.
func badSetting(flag string, why error) error {
	return usagef("--%s (%s): %w", flag, variable(flag), why)
}

// flagError turns what the flag parser says into one line that names the flag.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return badSetting(invalid.GetFlag().Name, errors.Unwrap(err))
	}
	return usagef("%w; see %s --help", err, cmd.CommandPath())
}

// nameVariables adds the variable to each flag's help text.
func nameVariables(command *cobra.Command) {
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		flag.Usage += " (" + variable(flag.Name) + ")"
	})
	command.PersistentFlags().VisitAll(func(flag *pflag.Flag) {
		flag.Usage += " (" + variable(flag.Name) + ")"
	})
}

// days is a flag with a duration, which may be in days.
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

// oneOf is a flag with a few possible words.
type oneOf struct {
	value   *string
	allowed []string
}

func (o oneOf) String() string { return *o.value }

func (o oneOf) Type() string { return strings.Join(o.allowed, "|") }

func (o oneOf) Set(text string) error {
	for _, word := range o.allowed {
		if text == word {
			*o.value = text
			return nil
		}
	}
	return errors.New("want one of " + strings.Join(o.allowed, ", "))
}
