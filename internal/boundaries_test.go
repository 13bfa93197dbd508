// Package internal_test holds the rooms of Conduit to who may import whom.
package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rules say what the packages of a room may import: packages or, with a trailing slash or star, what begins like that.
// The standard library is always allowed, except net/http where a room is not to know HTTP. CONTRIBUTING.md has the
// reasons.
var rules = map[string]struct {
	may    []string
	noHTTP bool
}{
	"conduit":                   {noHTTP: true},
	"conduit/api":               {may: []string{"github.com/oapi-codegen/"}},
	"conduit/api/worlds":        {may: []string{"conduit/api", "github.com/oapi-codegen/"}},
	"conduit/clients/go/client": {may: []string{"conduit/api", "github.com/cenkalti/backoff/v5"}},
	"conduit/internal/errs":     {noHTTP: true},
	"conduit/internal/random":   {noHTTP: true},
	"conduit/internal/identity": {
		may: []string{
			"conduit/internal/errs", "conduit/internal/random", "golang.org/x/text/", "go.mau.fi/util/confusable",
		},
		noHTTP: true,
	},
	"conduit/internal/blog": {
		may: []string{
			"conduit/internal/errs", "conduit/internal/identity", "golang.org/x/text/", "github.com/gosimple/slug",
		},
		noHTTP: true,
	},
	"conduit/internal/events": {may: []string{"conduit/internal/errs"}, noHTTP: true},
	"conduit/internal/auth": {
		may: []string{
			"conduit/internal/random", "github.com/lestrrat-go/jwx/v2/", "github.com/go-json-experiment/json",
			"golang.org/x/crypto/", "golang.org/x/text/", "github.com/pquerna/otp*", "github.com/boombuler/barcode/qr",
		},
		noHTTP: true,
	},
	"conduit/internal/store": {
		may: []string{
			"conduit/internal/errs", "conduit/internal/identity", "conduit/internal/blog", "conduit/internal/auth",
			"conduit/internal/events", "github.com/uptrace/bun*", "github.com/jackc/pgx/v5*", "modernc.org/sqlite*",
			"go.opentelemetry.io/otel/", "github.com/google/uuid", "github.com/maypok86/otter/v2",
		},
		noHTTP: true,
	},
	"conduit/internal/store/storetest": {may: []string{"conduit/internal/store", "github.com/jackc/pgx/v5*"},
		noHTTP: true},
	"conduit/internal/httpapi": {may: []string{
		"conduit", "conduit/api", "conduit/internal/errs", "conduit/internal/identity", "conduit/internal/blog",
		"conduit/internal/contract", "conduit/internal/docs", "conduit/internal/transport", "conduit/internal/proxies",
		"conduit/internal/events", "github.com/oapi-codegen/", "github.com/rs/cors",
		"github.com/klauspost/compress/gzhttp", "go.opentelemetry.io/otel/",
	}},
	"conduit/internal/transport": {may: []string{
		"conduit/internal/errs", "conduit/internal/identity", "conduit/internal/proxies", "golang.org/x/sync/semaphore",
	}},
	"conduit/internal/proxies": {},
	"conduit/internal/worlds": {may: []string{
		"conduit", "conduit/api", "conduit/api/worlds", "conduit/internal/contract", "conduit/internal/errs",
		"conduit/internal/proxies", "github.com/oapi-codegen/nullable", "golang.org/x/sync/semaphore",
	}},
	"conduit/internal/passkeys": {
		may:    []string{"conduit/internal/identity", "github.com/go-webauthn/webauthn/", "github.com/google/uuid"},
		noHTTP: true,
	},
	"conduit/internal/contract": {may: []string{
		"conduit/internal/errs", "github.com/getkin/kin-openapi/", "github.com/go-json-experiment/json/",
		"github.com/goccy/go-yaml",
	}},
	"conduit/internal/docs": {},
	"conduit/internal/metrics": {may: []string{
		"conduit/internal/identity", "conduit/internal/auth", "github.com/prometheus/client_golang/",
	}},
	"conduit/internal/mail": {
		may: []string{
			"conduit/internal/identity", "github.com/wneessen/go-mail*", "golang.org/x/net/idna", "golang.org/x/text/",
		},
		noHTTP: true,
	},
	"conduit/internal/mail/mailtest": {may: []string{"github.com/emersion/"}, noHTTP: true},
	"conduit/internal/weak":          {may: []string{"github.com/ccojocar/zxcvbn-go/data"}, noHTTP: true},
	"conduit/internal/demo": {
		may:    []string{"conduit/internal/identity", "conduit/internal/blog", "github.com/brianvoe/gofakeit/v7"},
		noHTTP: true,
	},
	"conduit/internal/robustness": {}, // tests only
	"conduit/cmd/bench": {may: []string{
		"conduit/internal/store/storetest",
		"github.com/jackc/pgx/v5", // as itself: it is what Conduit is measured against
		"github.com/jackc/pgx/v5/pgconn", "github.com/jackc/pgx/v5/pgxpool",
	}},
	"conduit/internal/app": {may: []string{
		"conduit/internal/", "golang.org/x/sys/unix", "golang.org/x/time/rate", "go.opentelemetry.io/otel*",
	}},
	"conduit/cmd/conduit": {may: []string{
		"conduit/internal/app", "conduit/internal/errs", "conduit/internal/identity", "conduit/internal/auth",
		"conduit/internal/store", "conduit/internal/demo", "conduit/internal/weak",
		"github.com/spf13/", "github.com/schollz/progressbar/v3", "golang.org/x/term",
	}},
}

func TestBoundaries(t *testing.T) {
	t.Parallel()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	command.Dir = ".."
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var found struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&found); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen[found.ImportPath] = true
		rule, ok := rules[found.ImportPath]
		if !ok && found.ImportPath != "conduit/internal" { // the folder of this test
			t.Errorf("%s is a room without rules: add it here and to CONTRIBUTING.md", found.ImportPath)
		}
		for _, imported := range found.Imports {
			standard := !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") &&
				!strings.HasPrefix(imported, "conduit")
			switch {
			case standard && rule.noHTTP && (imported == "net/http" || strings.HasPrefix(imported, "net/http/")):
				t.Errorf("%s imports %s", found.ImportPath, imported)
			case !standard && !slices.ContainsFunc(rule.may, func(may string) bool { return allows(may, imported) }):
				t.Errorf("%s imports %s", found.ImportPath, imported)
			}
		}
	}
	for room := range rules {
		if !seen[room] {
			t.Errorf("%s has rules and does not exist", room)
		}
	}
}

func allows(may, imported string) bool {
	if prefix, ok := strings.CutSuffix(may, "*"); ok {
		return strings.HasPrefix(imported, prefix)
	}
	return imported == may || strings.HasSuffix(may, "/") && strings.HasPrefix(imported, may)
}
