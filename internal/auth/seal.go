package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"conduit/internal/random"
)

// kekLength is the length in bytes of a key-encryption key (AES-256).
const kekLength = 32

// sealVersion is the first byte of everything sealed, so that another cipher can follow while old rows still open.
const sealVersion = 1

// ErrSealed says that a sealed private key does not open.
var ErrSealed = errors.New("auth: the sealed signing key does not open: " +
	"the key-encryption key differs from the one which sealed it, or the sealed key was altered")

// Sealer seals private keys before they are stored, and opens them. It is safe for concurrent use.
//
// A sealed key is the version byte, a random 96-bit nonce, and the AES-256-GCM ciphertext with its tag. Version and kid
// are additional data: a sealed key moved to another key's row does not open. Random nonces are sound for 2^32 messages
// under one key (NIST SP 800-38D §8.3), and Conduit seals a handful.
type Sealer struct{ aead cipher.AEAD }

// NewSealer returns a Sealer for a key-encryption key of 32 bytes.
func NewSealer(kek []byte) (*Sealer, error) {
	if len(kek) != kekLength {
		return nil, errKEK
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead}, nil
}

// Seal returns plaintext sealed for the key with the given kid.
func (s *Sealer) Seal(kid string, plaintext []byte) []byte {
	return s.aead.Seal([]byte{sealVersion}, nil, plaintext, sealContext(kid))
}

// Open returns what was sealed for the given kid, or ErrSealed.
func (s *Sealer) Open(kid string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	plaintext, err := s.aead.Open(nil, nil, sealed[1:], sealContext(kid))
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

func sealContext(kid string) []byte {
	return append([]byte{sealVersion}, kid...)
}

// DeriveSecret returns 32 bytes for a purpose, the same at all instances with the same root, see [OpenRoot]. They
// reveal neither the root nor the secret of another purpose (HKDF, RFC 5869). root is 32 bytes.
func DeriveSecret(root []byte, purpose string) ([]byte, error) {
	if len(root) != kekLength {
		return nil, errKEK
	}
	return hkdf.Key(sha256.New, root, nil, purpose, sha256.Size)
}

// errKEK does not hold the value, which may be a good key but for a slip.
var errKEK = errors.New("auth: the key-encryption key must be 32 bytes, written in base64")

// ReadKEK decodes a key-encryption key of exactly 32 bytes from base64, in the standard or the URL alphabet, padded or
// not. Blanks around it are ignored. The error never holds the value.
func ReadKEK(encoded string) ([]byte, error) {
	encoded = strings.TrimSpace(encoded)
	if strings.ContainsAny(encoded, "\r\n") { // which the decoder would skip
		return nil, errKEK
	}
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if kek, err := encoding.Strict().DecodeString(encoded); err == nil && len(kek) == kekLength {
			return kek, nil
		}
	}
	return nil, errKEK
}

// KEKFromFile returns the key-encryption key in the file at path, which ReadKEK can read. If there is no file, it makes
// one, readable by its owner only, and reports so; the directory must exist. Processes that start at once agree on one
// key, and none reads a half-written one.
//
// A file that group or others may read is refused, with an error that says how to mend it. Windows has no such bits;
// there the file is taken as it is.
func KEKFromFile(path string) (kek []byte, made bool, err error) {
	kek, err = readKEKFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return kek, false, err
	}
	made, err = makeKEKFile(path)
	if err != nil {
		return nil, false, fmt.Errorf("auth: make the key-encryption key file: %w", err)
	}
	// A file that was just made is read back too, so that every key passes the same checks.
	kek, err = readKEKFile(path)
	return kek, made, err
}

func readKEKFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("auth: open the key-encryption key file: %w", err)
	}
	defer file.Close()
	// The open file is asked, not the path, which could name another by now.
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("auth: inspect the key-encryption key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("auth: the key-encryption key file %s is not a regular file", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("auth: the key-encryption key file may be read by others than its owner; "+
			"forbid it with: chmod 600 %s", path)
	}
	const limit = 1024 // a key takes 44 bytes; this is the wrong file
	text, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		return nil, fmt.Errorf("auth: read the key-encryption key file: %w", err)
	}
	kek, err := ReadKEK(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w (file %s)", err, path)
	}
	return kek, nil
}

// makeKEKFile puts a new key at path unless there is one by then. A link is the
// way to do both: it appears whole, and unlike a rename it replaces nothing.
func makeKEKFile(path string) (made bool, err error) {
	// CreateTemp opens with O_EXCL and mode 0600.
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return false, err
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(base64.StdEncoding.EncodeToString(random.Bytes(nil, kekLength)) + "\n")
	// The key must be on the disk before anything is sealed under it.
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return false, err
	}
	switch err = os.Link(temp.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, err
	}
	// So must its name. Not every system can sync a directory, and the key is usable where it cannot.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return true, nil
}
