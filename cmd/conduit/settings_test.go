package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestSettingsAreAsDocumented: docs/settings.md has exactly the flags of `conduit serve --help`, with their defaults.
// Each flag has the variable that follows from the rule on that page.
func TestSettingsAreAsDocumented(t *testing.T) {
	t.Parallel()
	page, help := document(t, "settings.md"), shell{}.run(t, "serve --help")
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (.*?) ?\\|").FindAllStringSubmatch(page, -1) {
		documented[row[1]] = row[2]
	}
	inWords := map[string]string{
		"demo": "for `conduit.db`", "issuer": "the public URL, else `conduit`",
		"passkey-rp-id": "the host of the public URL, or `localhost`",
	}
	serveCommand(nil).Flags().VisitAll(func(flag *pflag.Flag) {
		named := "CONDUIT_" + strings.ReplaceAll(strings.ToUpper(flag.Name), "-", "_")
		if !regexp.MustCompile(`(?m)^ +--` + flag.Name + `[ \[].*\(` + named + `\)`).MatchString(help) {
			t.Errorf("serve --help has no --%s with %s", flag.Name, named)
		}
		value, ok := documented[flag.Name]
		if delete(documented, flag.Name); !ok {
			t.Errorf("docs/settings.md has no --%s", flag.Name)
		} else if value == inWords[flag.Name] && value != "" {
			return
		}
		// 2m is 2m0s: a documented default is right if the flag changes nothing when it is given.
		if err := flag.Value.Set(strings.Trim(value, "`")); err != nil || flag.Value.String() != flag.DefValue {
			t.Errorf("docs/settings.md has --%s with the default %s, want %s", flag.Name, value, flag.DefValue)
		}
	})
	for flag := range documented {
		t.Errorf("docs/settings.md has --%s, which serve has not", flag)
	}
}
