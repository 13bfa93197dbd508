package identity

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/errs"
)

type listOf []string

func (l listOf) Common(password string) bool { return slices.Contains(l, password) }

func TestPasswordPolicy(t *testing.T) {
	t.Parallel()
	strict := PasswordPolicy{Strict: true, Common: listOf{"jake's password"}}
	const (
		common   = "is too common"
		username = "must not contain the username"
		email    = "must not contain the email"
	)
	for _, test := range []struct {
		policy                    PasswordPolicy
		password, username, email string
		want                      []string
	}{
		{PasswordPolicy{}, "password123", "password", "password@a.b", nil},
		{PasswordPolicy{}, "short7c", "a", "a@a.b", []string{"is too short (minimum is 8 characters)"}},
		{strict, "", "a", "a@a.b", []string{errs.Blank}},
		{strict, "fourteen chars", "fourteen", "a@a.b", []string{"is too short (minimum is 15 characters)"}},
		{strict, strings.Repeat("e\u0301", 14), "a", "a@a.b", []string{"is too short (minimum is 15 characters)"}},
		{strict, strings.Repeat("é ", 8), "a", "a@a.b", nil},
		{strict, strings.Repeat("x", 129), "a", "a@a.b", []string{"is too long (maximum is 128 characters)"}},
		{strict, "jake's password", "pat", "pm@a.b", []string{common}},
		{strict, "jake's password", "JAKE", "s@a.b", []string{common, username}},
		{strict, "my name is JOSE\u0301!!", "josé", "jm@a.b", []string{username}},
		{strict, "die STRASSE hinauf", "jm", "straße@a.b", []string{email}},
		{strict, "the jake of jmiller", "jake", "jmiller@a.b", []string{username, email}},
		{strict, "jake and his secrets", "Jake", "jake@a.b", []string{username}},
		{strict, "an unsuspicious one", "an", "on@one.example", nil},
	} {
		problems := errs.Fields{}
		test.policy.check(problems, test.password, test.username, test.email)
		if diff := cmp.Diff(test.want, problems["password"]); diff != "" {
			t.Errorf("%q for %q, %q (-want +got):\n%s", test.password, test.username, test.email, diff)
		}
	}
}
