package app

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"

	"conduit/internal/auth"
	"conduit/internal/httpapi"
	"conduit/internal/mail"
	"conduit/internal/metrics"
	"conduit/internal/random"
)

// world is what the App of a world has of its own, and the server beside which it is. An App that is no world's has
// none: then each method returns nothing.
type world struct {
	server *App
	id     string
	seed   uint64
	url    httpapi.PublicURL
	before bool // while its beginning is prepared, for which nothing is drawn that comes later
}

func (w *world) name() string {
	if w == nil {
		return ""
	}
	return "world " + w.id
}

func (w *world) publicURL() httpapi.PublicURL {
	if w == nil {
		return ""
	}
	return w.url
}

func (w *world) figures() *metrics.Metrics {
	if w == nil {
		return nil
	}
	return w.server.figures
}

func (w *world) passwords() *auth.Passwords {
	if w == nil {
		return nil
	}
	return w.server.passwords
}

func (w *world) templates() *mail.Templates {
	if w == nil {
		return nil
	}
	return w.server.templates
}

// random returns where a world's secrets for a purpose come from; nil for no world. Each purpose has a source of its
// own. So requests that a browser makes at will, such as preflights, do not move what tokens and ids are drawn from.
func (w *world) random(purpose string) random.Source {
	if w == nil {
		return nil
	}
	if w.before {
		purpose = "beginning, " + purpose
	}
	return newSource(w.seed, purpose)
}

// source draws from a seed, the same each time.
type source struct {
	mutex sync.Mutex
	from  *rand.ChaCha8
}

func newSource(seed uint64, purpose string) *source {
	return &source{from: rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "conduit world %d: %s", seed, purpose)))}
}

// Read implements [io.Reader].
func (s *source) Read(into []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.from.Read(into)
}

// text draws an id. It is as long as a real one.
func (s *source) text() string { return random.Text(s) }
