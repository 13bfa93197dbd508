package identity

import (
	"crypto/rand"
	"io"
)

// Random is where secrets come from. Nil is the system's source, and the only one from which they are secret: another
// one is for tests, which get the same each time.
type Random = io.Reader

// randomBytes fills bytes from a source.
func randomBytes(from Random, into []byte) {
	if from == nil {
		from = rand.Reader
	}
	if _, err := io.ReadFull(from, into); err != nil {
		panic("identity: a source of randomness has an end: " + err.Error())
	}
}

// randomText returns text that nobody can guess, as [rand.Text] does.
func randomText(from Random) string {
	if from == nil {
		return rand.Text()
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" // RFC 4648
	text := make([]byte, codeLength)
	randomBytes(from, text)
	for i, drawn := range text {
		text[i] = alphabet[int(drawn)%len(alphabet)]
	}
	return string(text)
}
