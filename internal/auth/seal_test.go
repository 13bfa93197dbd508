package auth

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
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

	refused := func(what string, s *Sealer, kid string, sealed []byte) {
		t.Helper()
		_, err := s.Open(kid, sealed)
		wantError(t, what, err, ErrSealed)
	}
	refused("under another kid", s, "kid-2", sealed)
	refused("under another key", newSealer(t, 2), "kid-1", sealed)
	for i := range sealed {
		refused(fmt.Sprintf("cut to %d bytes", i), s, "kid-1", sealed[:i])
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		refused(fmt.Sprintf("byte %d altered", i), s, "kid-1", altered)
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
	if runtime.GOOS != "windows" {
		wantSame(t, "mode", 0o600, info.Mode().Perm())
	}
	second, made, err := KEKFromFile(path)
	if err != nil || made || !bytes.Equal(first, second) {
		t.Errorf("second: same %v, made %v, %v", bytes.Equal(first, second), made, err)
	}
	wantOnlyKEK(t, path)
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
	var (
		wg   sync.WaitGroup
		runs [20]struct {
			kek  []byte
			made bool
			err  error
		}
		gate = make(chan struct{})
	)
	for i := range runs {
		wg.Go(func() {
			<-gate
			runs[i].kek, runs[i].made, runs[i].err = KEKFromFile(path)
		})
	}
	close(gate)
	wg.Wait()
	makers := 0
	for _, run := range runs {
		noError(t, run.err)
		wantSame(t, "the key of each", runs[0].kek, run.kek)
		if run.made {
			makers++
		}
	}
	wantSame(t, "those who say that they made it", 1, makers)
	wantOnlyKEK(t, path)
}

// wantOnlyKEK looks for files that the making of the key left beside it.
func wantOnlyKEK(t *testing.T, path string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	noError(t, err)
	wantSame(t, "files", []string{path}, names)
}
