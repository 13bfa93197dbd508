package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"conduit/internal/errs"
)

// ResourceServer is a service that is shown tokens, and may ask whether they count (RFC 7662).
type ResourceServer struct {
	ID        string // random, and no secret
	Name      string // for people
	CreatedAt time.Time
	Secrets   []ServerSecret // that count, or will be removed by the next rotation; the oldest first
}

// ServerSecret is what is kept of a secret of a resource server. A hash needs no salt and no stretching: 256 random
// bits cannot be guessed.
type ServerSecret struct {
	Hash      []byte // SHA-256
	CreatedAt time.Time
	EndsAt    *time.Time // when it stops to count; nil for the newest
}

// ResourceServerStore keeps resource servers. Events are recorded in the transaction of what they tell.
type ResourceServerStore interface {
	// AddResourceServer records a resource server with its first secret.
	AddResourceServer(ctx context.Context, server ResourceServer, happened Event) error
	// RotateSecret adds a secret to a resource server. The others count until a moment at the latest, and those that
	// have ended by the time of the event are removed. NotFound("client") if it is not there.
	RotateSecret(ctx context.Context, id string, next ServerSecret, until time.Time, happened Event) error
	// RemoveResourceServer removes a resource server with its secrets; NotFound("client") if it is not there.
	RemoveResourceServer(ctx context.Context, id string, happened Event) error
	// ResourceServers returns all resource servers, the oldest first.
	ResourceServers(ctx context.Context) ([]ResourceServer, error)
	// SecretHashes returns the hashes of the secrets of a resource server that count now; none if it is not there.
	SecretHashes(ctx context.Context, id string, now time.Time) ([][]byte, error)
}

// ResourceServers registers resource servers, and finds out whether one is asking.
type ResourceServers struct {
	Store    ResourceServerStore
	Throttle *Throttle
	Now      func() time.Time
}

// Credentials are what a resource server authenticates with. They are shown once.
type Credentials struct{ ID, Secret string }

// newSecret returns a secret of 256 random bits, in characters that no encoding changes, and what is kept of it.
func newSecret(now time.Time) (string, ServerSecret) {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails
	secret := base64.RawURLEncoding.EncodeToString(bits[:])
	hash := sha256.Sum256([]byte(secret))
	return secret, ServerSecret{Hash: hash[:], CreatedAt: now}
}

// maxServerName is how many characters the name of a resource server has at most.
const maxServerName = 64

// Add registers a resource server. Only operators do that.
func (r *ResourceServers) Add(ctx context.Context, by Authority, name string) (Credentials, error) {
	problems := errs.Fields{}
	switch checkText(problems, "name", name); {
	case len(problems) > 0:
	case strings.TrimSpace(name) == "":
		problems.Add("name", errs.Blank)
	case utf8.RuneCountInString(name) > maxServerName:
		problems.Add("name", errs.TooLong(maxServerName))
	}
	if err := problems.Err(); err != nil {
		return Credentials{}, err
	}
	now := Stamp(r.Now())
	text, secret := newSecret(now)
	server := ResourceServer{ID: rand.Text(), Name: name, CreatedAt: now, Secrets: []ServerSecret{secret}}
	happened := by.event(now, ClientAdded, serverTarget(server.ID))
	return Credentials{server.ID, text}, r.Store.AddResourceServer(ctx, server, happened)
}

// Rotate gives a resource server another secret. Those before it count for a while.
func (r *ResourceServers) Rotate(
	ctx context.Context, by Authority, id string, overlap time.Duration,
) (Credentials, error) {
	if !utf8.ValidString(id) {
		return Credentials{}, errs.NotFound("client")
	}
	now := Stamp(r.Now())
	text, secret := newSecret(now)
	err := r.Store.RotateSecret(ctx, id, secret, now.Add(overlap), by.event(now, ClientRotated, serverTarget(id)))
	return Credentials{id, text}, err
}

// Remove makes an end of a resource server: it is refused from now on.
func (r *ResourceServers) Remove(ctx context.Context, by Authority, id string) error {
	if !utf8.ValidString(id) {
		return errs.NotFound("client")
	}
	return r.Store.RemoveResourceServer(ctx, id, by.event(r.Now(), ClientRemoved, serverTarget(id)))
}

// List returns all resource servers, the oldest first.
func (r *ResourceServers) List(ctx context.Context) ([]ResourceServer, error) {
	return r.Store.ResourceServers(ctx)
}

func serverTarget(id string) string { return "client:" + id }

// serverID matches the ids that Add makes. What somebody else made up is not even looked for.
var serverID = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// Authenticate returns nil if a resource server has this id and secret, and Unauthenticated("client") otherwise, after
// the same work. A secret cannot be guessed, so only wrong ones are counted and the right one always passes. What is
// counted keeps floods out of the audit log, and tells whoever causes one to stop: KindTooMany.
func (r *ResourceServers) Authenticate(ctx context.Context, id, secret string, client Client) error {
	known := id
	if !serverID.MatchString(id) {
		known = ""
	}
	hashes, err := r.Store.SecretHashes(ctx, known, r.Now())
	if err != nil {
		return err
	}
	presented, matches := sha256.Sum256([]byte(secret)), 0
	for _, hash := range append(hashes, make([]byte, sha256.Size)) { // of which nobody knows a secret
		matches |= subtle.ConstantTimeCompare(hash, presented[:])
	}
	if matches == 1 {
		return nil
	}
	target := r.Throttle.hash("client", id)
	if len(hashes) > 0 {
		target = serverTarget(id)
	}
	counted, err := r.Throttle.clientError(context.WithoutCancel(ctx), client)
	switch {
	case errs.Is(err, errs.KindTooMany):
		return r.Throttle.refused(ctx, err, sighting{
			action: ClientThrottled, client: client, key: counted.held.Key, target: named(counted.held.target),
		})
	case err != nil:
		return err
	}
	return r.Throttle.refused(ctx, errs.Unauthenticated("client", "is invalid"), sighting{
		action: ClientRefused, client: client, target: named(target),
	})
}

// clientError counts a wrong secret of a resource server, or refuses it with KindTooMany.
func (t *Throttle) clientError(ctx context.Context, client Client) (counted, error) {
	networks := networksOf(client.IPAddress)
	return t.try(ctx, client, Count{
		Name: "client", Network: t.hash("network", networks[0]),
		Buckets: t.byNetwork("clients", HoldsAll, t.PerNetwork, networkDrain, kept, networks),
	}, "client", "too many attempts")
}
