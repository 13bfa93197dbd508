package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSealer(t *testing.T) {
	t.Parallel()
	s := newSealer(t, 1)
	secret := []byte(`{"d":"secret"}`)
	sealed := s.Seal("kid-1", secret)
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the sealed key shows its content")
	}
	if bytes.Equal(sealed, s.Seal("kid-1", secret)) {
		t.Error("sealing twice gives the same: the nonce repeats")
	}
	opened, err := s.Open("kid-1", sealed)
	noError(t, err)
	wantSame(t, "opened", secret, opened)

	_, err = s.Open("kid-2", sealed)
	wantError(t, "under another kid", err, ErrSealed)
	_, err = newSealer(t, 2).Open("kid-1", sealed)
	wantError(t, "under another key", err, ErrSealed)
	for i := range sealed {
		if _, err := s.Open("kid-1", sealed[:i]); !errors.Is(err, ErrSealed) {
			t.Errorf("cut to %d bytes: %v, want ErrSealed", i, err)
		}
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		if _, err := s.Open("kid-1", altered); !errors.Is(err, ErrSealed) {
			t.Errorf("byte %d altered: %v, want ErrSealed", i, err)
		}
	}
}

func TestNewSealerLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 24, 31, 33} {
		if _, err := NewSealer(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes is taken", n)
		}
	}
}

func TestReadKEK(t *testing.T) {
	t.Parallel()
	kek := bytes.Repeat([]byte{0xfb, 0xef, 0xff, 0x01}, 8) // has both alphabets differ
	for name, encoded := range map[string]string{
		"std":        base64.StdEncoding.EncodeToString(kek),
		"std, raw":   base64.RawStdEncoding.EncodeToString(kek),
		"url":        base64.URLEncoding.EncodeToString(kek),
		"url, raw":   base64.RawURLEncoding.EncodeToString(kek),
		"with blank": " " + base64.StdEncoding.EncodeToString(kek) + "\n",
	} {
		got, err := ReadKEK(encoded)
		if err != nil || !bytes.Equal(got, kek) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	std := base64.StdEncoding.EncodeToString(kek)
	for name, encoded := range map[string]string{
		"empty":            "",
		"hex":              strings.Repeat("fb", 32),
		"31 bytes":         base64.StdEncoding.EncodeToString(kek[1:]),
		"33 bytes":         base64.StdEncoding.EncodeToString(append(kek, 1)),
		"line break":       std[:20] + "\n" + std[20:],
		"two alphabets":    std[:40] + "-_A=",
		"tail bits":        std[:42] + "F=",
		"a passphrase":     "correct horse battery staple horse batteryy",
		"garbage after it": std + "=",
	} {
		got, err := ReadKEK(encoded)
		if err == nil {
			t.Errorf("%s: taken as %x", name, got)
			continue
		}
		if encoded != "" && strings.Contains(err.Error(), encoded) {
			t.Errorf("%s: the error holds the value: %v", name, err)
		}
	}
}

func TestKEKFromFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	first, made, err := KEKFromFile(path)
	if err != nil || !made || len(first) != kekLength {
		t.Fatalf("first: %d bytes, made %v, %v", len(first), made, err)
	}
	info, err := os.Stat(path)
	noError(t, err)
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}
	second, made, err := KEKFromFile(path)
	if err != nil || made || !bytes.Equal(first, second) {
		t.Errorf("second: same %v, made %v, %v", bytes.Equal(first, second), made, err)
	}
	if names := fileNames(t, filepath.Dir(path)); !cmp.Equal(names, []string{"kek"}) {
		t.Errorf("files left: %v", names)
	}
}

func TestKEKFromFileRefuses(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, kekLength))
	write := func(text string, mode fs.FileMode) string {
		path := filepath.Join(t.TempDir(), "kek")
		noError(t, os.WriteFile(path, []byte(text), mode))
		noError(t, os.Chmod(path, mode))
		return path
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o644, 0o610} {
		if runtime.GOOS == "windows" {
			break
		}
		path := write(good, mode)
		_, _, err := KEKFromFile(path)
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %v: %v, want an error which says what to do", mode, err)
		}
	}
	for name, text := range map[string]string{
		"empty":     "",
		"cut":       good[:20],
		"too large": strings.Repeat(" ", 1<<20) + good,
		"two keys":  good + "\n" + good,
	} {
		path := write(text, 0o600)
		_, made, err := KEKFromFile(path)
		if err == nil || made {
			t.Errorf("%s: made %v, %v, want an error", name, made, err)
		} else if strings.Contains(err.Error(), good[:20]) {
			t.Errorf("%s: the error holds the value: %v", name, err)
		}
	}
	if _, _, err := KEKFromFile(t.TempDir()); err == nil {
		t.Error("a directory is taken")
	}
	if _, _, err := KEKFromFile(filepath.Join(t.TempDir(), "no", "such", "kek")); err == nil {
		t.Error("a file in no directory is made")
	}
}

func TestKEKFromFileRace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	const n = 20
	var (
		wg   sync.WaitGroup
		keks [n][]byte
		made [n]bool
		errs [n]error
		gate = make(chan struct{})
	)
	for i := range n {
		wg.Go(func() {
			<-gate
			keks[i], made[i], errs[i] = KEKFromFile(path)
		})
	}
	close(gate)
	wg.Wait()
	makers := 0
	for i := range n {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if !bytes.Equal(keks[i], keks[0]) {
			t.Error("two have different keys")
		}
		if made[i] {
			makers++
		}
	}
	if makers != 1 {
		t.Errorf("%d say that they made the key, want 1", makers)
	}
	if names := fileNames(t, filepath.Dir(path)); !cmp.Equal(names, []string{"kek"}) {
		t.Errorf("files left: %v", names)
	}
}

func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	noError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
