package auth

import (
	"bytes"
	"strings"
	"testing"
)

func newRefreshTokens(t testing.TB) *RefreshTokens {
	t.Helper()
	r, err := NewRefreshTokens(bytes.Repeat([]byte{7}, 32))
	noError(t, err)
	return r
}

func TestRefreshTokens(t *testing.T) {
	t.Parallel()
	r := newRefreshTokens(t)
	token := r.Issue("SESSION", 7)
	if session, generation, ok := r.Read(token); session != "SESSION" || generation != 7 || !ok {
		t.Errorf("Read: %q, %d, %v", session, generation, ok)
	}
	if other := r.Issue("SESSION", 7); other == token || bytes.Equal(r.Hash(other), r.Hash(token)) {
		t.Error("two tokens are one")
	}
	parts := strings.Split(token, ".")
	for name, altered := range map[string]string{
		"empty": "", "dots": "...", "cut": token[:len(token)-1], "longer": token + "A",
		"no MAC":             strings.Join(parts[:3], "."),
		"another session":    "OTHER." + strings.Join(parts[1:], "."),
		"another generation": parts[0] + ".8." + parts[2] + "." + parts[3],
		"another secret":     parts[0] + ".7.AAAA." + parts[3],
		"another case":       strings.ToLower(token),
		"a part more":        "x." + token,
	} {
		if _, _, ok := r.Read(altered); ok {
			t.Errorf("%s: read %q", name, altered)
		}
	}
	elsewhere, err := NewRefreshTokens(bytes.Repeat([]byte{8}, 32))
	noError(t, err)
	if _, _, ok := elsewhere.Read(token); ok {
		t.Error("read under another key")
	}
	if _, err := NewRefreshTokens([]byte("short")); err == nil {
		t.Error("a short key was taken")
	}
}

func TestSealedSuccessor(t *testing.T) {
	t.Parallel()
	r := newRefreshTokens(t)
	first, second := r.Issue("S", 0), r.Issue("S", 1)
	sealed := r.Seal(first, second)
	if bytes.Contains(sealed, []byte(second)) {
		t.Error("the successor can be read")
	}
	if got, ok := r.Open(first, sealed); got != second || !ok {
		t.Errorf("Open: %q, %v", got, ok)
	}
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for name, try := range map[string]struct {
		under  string
		sealed []byte
	}{
		"under another": {second, sealed}, "altered": {first, altered},
		"short": {first, sealed[:5]}, "nothing": {first, nil},
	} {
		if _, ok := r.Open(try.under, try.sealed); ok {
			t.Error(name, "opened")
		}
	}
}

// FuzzRefreshToken: nothing but what was issued is read, and nothing panics.
func FuzzRefreshToken(f *testing.F) {
	r := newRefreshTokens(f)
	f.Add("S.0.ABC.DEF")
	f.Add(r.Issue("S", 1)[1:])
	f.Add("....")
	f.Fuzz(func(t *testing.T, token string) {
		if session, generation, ok := r.Read(token); ok {
			t.Errorf("read %q, %d from %q", session, generation, token)
		}
	})
}
