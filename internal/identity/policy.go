package identity

import (
	"strings"

	"conduit/internal/errs"
)

// CommonPasswords knows the passwords that everybody tries first.
type CommonPasswords interface {
	Common(password string) bool
}

// PasswordPolicy says which passwords people may choose. It is not applied to those that they have. In the zero value,
// the standard policy, length is the only rule.
type PasswordPolicy struct {
	// Strict also refuses passwords that are common, that hold the username or the email, or that have fewer than 15
	// characters, as NIST SP 800-63B-4 §3.1.1.2 asks. It needs Common.
	Strict bool
	Common CommonPasswords
}

const (
	minStrictPassword = 15 // NIST SP 800-63B-4 §3.1.1.2, for a password that is the only factor
	minName           = 3  // nearly every password holds a name that is shorter
)

// Minimum returns how many characters a password must have at least.
func (p PasswordPolicy) Minimum() int {
	if p.Strict {
		return minStrictPassword
	}
	return minPassword
}

// check adds what is wrong with password as a new one for the user with this username and email.
func (p PasswordPolicy) check(problems errs.Fields, password, username, email string) {
	before := len(problems["password"])
	checkPassword(problems, password, p.Minimum())
	if !p.Strict || len(problems["password"]) > before {
		return
	}
	if p.Common.Common(password) {
		problems.Add("password", "is too common")
	}
	folded, name := string(Fold(password)), string(Fold(username))
	local, _, _ := strings.Cut(string(Fold(email)), "@")
	if holds(folded, name) {
		problems.Add("password", "must not contain the username")
	}
	if local != name && holds(folded, local) {
		problems.Add("password", "must not contain the email")
	}
}

func holds(password, name string) bool {
	return len([]rune(name)) >= minName && strings.Contains(password, name)
}
