package main

import (
	"github.com/spf13/pflag"

	"conduit/internal/identity"
	"conduit/internal/weak"
)

const (
	standardPolicy = "standard"
	strictPolicy   = "strict"
)

func policyFlag(flags *pflag.FlagSet, policy *string) {
	*policy = standardPolicy
	flags.Var(oneOf{policy, []string{standardPolicy, strictPolicy}}, "password-policy",
		"new passwords have 8 characters; under strict 15, are not common, and hold neither username nor email")
}

// passwordPolicy returns the policy with this name. It reads the list of common passwords only if it has to.
func passwordPolicy(name string) (identity.PasswordPolicy, error) {
	if name != strictPolicy {
		return identity.PasswordPolicy{}, nil
	}
	common, err := weak.New()
	return identity.PasswordPolicy{Strict: true, Common: common}, err
}
