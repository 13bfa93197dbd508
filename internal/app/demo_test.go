package app

import (
	"testing"

	"conduit/internal/auth"
	"conduit/internal/demo"
)

// TestDemoPassword: the hash that all demo accounts have is that of their password, at the cost of today. If it is not,
// make it anew with auth.NewPasswords(auth.PasswordOptions{}).Hash and put it into internal/demo/demo.go.
func TestDemoPassword(t *testing.T) {
	t.Parallel()
	passwords := auth.NewPasswords(auth.PasswordOptions{})
	match, stale, err := passwords.Verify(t.Context(), demo.PasswordHash, demo.Password)
	if err != nil || !match || stale {
		t.Errorf("match %v, stale %v, error %v", match, stale, err)
	}
}
