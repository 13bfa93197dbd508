package identity

import (
	"strings"

	"conduit/internal/errs"
)

// CommonPasswords knows the passwords that everybody tries first.
type CommonPasswords interface {
	Common(password string) bool
}

// PasswordPolicy says which passwords people may choose; those they have are not asked about. The zero value is the
// standard one, by which length is the only rule.
type PasswordPolicy struct {
	// Strict also refuses common passwords, those which hold the username or the email, and short ones of more
	// characters; Common is needed with it.
	Strict bool
	Common CommonPasswords
}

const (
	minStrictPassword = 15 // NIST SP 800-63B-4 §3.1.1.2, for a password that is the only factor
	minName           = 3  // nearly every password holds a name that is shorter
)

// Minimum is how many characters a password has at least.
func (p PasswordPolicy) Minimum() int {
	if p.Strict {
		return minStrictPassword
	}
	return minPassword
}

// check adds what is wrong with password as the new one of who has this username and address.
func (p PasswordPolicy) check(problems errs.Fields, password, username, email string) {
	before := len(problems["password"])
	checkPassword(problems, password, p.Minimum())
	if !p.Strict || len(problems["password"]) > before {
		return
	}
	if p.Common.Common(password) {
		problems.Add("password", "is too common")
	}
	key, name := string(Fold(password)), string(Fold(username))
	local, _, _ := strings.Cut(string(Fold(email)), "@")
	if holds(key, name) {
		problems.Add("password", "must not contain the username")
	}
	if local != name && holds(key, local) {
		problems.Add("password", "must not contain the email")
	}
}

func holds(password, name string) bool {
	return len([]rune(name)) >= minName && strings.Contains(password, name)
}
