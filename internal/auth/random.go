package auth

import (
	"crypto/rand"
	"io"
)

// drawn returns bytes from a source; nil is the system's, which ends the program rather than fail.
func drawn(from io.Reader, size int) []byte {
	if from == nil {
		from = rand.Reader
	}
	bytes := make([]byte, size)
	if _, err := io.ReadFull(from, bytes); err != nil {
		panic("auth: a source of randomness has an end: " + err.Error())
	}
	return bytes
}

// randomText returns text that nobody can guess, as [rand.Text] does.
func randomText(from io.Reader) string {
	if from == nil {
		return rand.Text()
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" // RFC 4648
	text := drawn(from, 26)
	for i, value := range text {
		text[i] = alphabet[int(value)%len(alphabet)]
	}
	return string(text)
}
