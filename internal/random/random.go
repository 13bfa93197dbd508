// Package random draws what nobody can guess.
package random

import (
	"crypto/rand"
	"io"
)

// Source is where it is drawn from. Nil is the system's source, and the only one from which secrets are secret: another
// one is for tests, which get the same each time. A source has no end.
type Source = io.Reader

// Bytes returns so many bytes.
func Bytes(from Source, size int) []byte {
	if from == nil {
		from = rand.Reader // which ends the program rather than return what can be predicted
	}
	drawn := make([]byte, size)
	if _, err := io.ReadFull(from, drawn); err != nil {
		panic("random: a source has an end: " + err.Error())
	}
	return drawn
}

// What a text has: 130 bits, as [rand.Text] has them (RFC 4648 §6).
const (
	TextLength = 26
	Alphabet   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

// Text returns text of TextLength characters of Alphabet.
func Text(from Source) string {
	if from == nil {
		return rand.Text()
	}
	text := Bytes(from, TextLength)
	for i, drawn := range text {
		text[i] = Alphabet[int(drawn)%len(Alphabet)]
	}
	return string(text)
}
