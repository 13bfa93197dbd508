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
		"what new passwords are held to: 8 characters, or 15 and neither common nor with the name in them")
}

// passwordPolicy returns the policy of that name. The list of common passwords is read only where it is needed.
func passwordPolicy(name string) (identity.PasswordPolicy, error) {
	if name != strictPolicy {
		return identity.PasswordPolicy{}, nil
	}
	common, err := weak.New()
	return identity.PasswordPolicy{Strict: true, Common: common}, err
}
