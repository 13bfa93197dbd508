package weak_test

import (
	"strings"
	"testing"

	"conduit/internal/weak"
)

func TestCommon(t *testing.T) {
	t.Parallel()
	passwords, err := weak.New()
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{
		"password": true, "PassWord": true, "p@ssw0rd": true, "films+pic+galeries": true,
		"passwordpassword": true, "Password!Password!": true, "qwertyqwertyqwe": true, "password12345678": true,
		"Password12345678!": true, "iloveyou2024iloveyou2024": true, "letmein letmein 2024": false,
		"123456789012345": true, "987654321098765": true, "aaaaaaaaaaaaaaaa": true, "!!!!!!!!!!!!!!!": true,
		"x7x7x7x7x7x7x7x7": true, "": true,
		"abcdefghijklmnop": true, strings.Repeat("Password1", 14): true, "qwertyuiopasdfgh": true,
		"correct horse battery staple": false, "jakes very own secret": false, "kx7!fq2mwz9pt4v": false,
		"password kx7!fq2mwz": false, "дорога в тысячу ли": false, "ffffffffkx7fq2mw": false,
		"acegikmoqsuwyacegik": false,
	} {
		if got := passwords.Common(password); got != want {
			t.Errorf("Common(%q) is %v", password, got)
		}
	}
}
