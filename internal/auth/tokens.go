package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"conduit/internal/random"

	"github.com/lestrrat-go/jwx/v2/jwt"
)

var (
	// ErrInvalid says that a token is not ours, or no longer good. The error that wraps it holds a reason for the log
	// and nothing of the token.
	ErrInvalid = errors.New("auth: invalid token")

	// ErrExpired says that a token is ours and that nothing but its time is wrong. Verify never returns it for a token
	// whose signature it did not verify.
	ErrExpired = errors.New("auth: expired token")

	// ErrOtherKind says that a token says of itself that it is of another kind that we sign: a status list. It is an
	// ErrInvalid.
	ErrOtherKind = fmt.Errorf("%w: a status list", ErrInvalid)
)

// The instances' clocks may differ. A token from the future was signed by one whose clock is ahead, so there is leeway.
// An expired token was good long enough, so it gets little.
const (
	leeway       = 30 * time.Second // on iat and nbf
	expiryLeeway = 5 * time.Second  // on exp
)

// Claims is what a verified token says.
type Claims struct {
	UserID    int64  // sub
	SessionID string // sid
	TokenID   string // jti
	KeyID     string // kid, of the header
	Issuer    string
	Audience  string
	IssuedAt  time.Time
	NotBefore time.Time
	ExpiresAt time.Time
}

// TokenOptions sets whose tokens are issued and accepted.
type TokenOptions struct {
	Issuer   string // iss, required
	Audience string // aud, required
	// StatusLists is the URI below which status lists are. Tokens name none if it is empty.
	StatusLists string
	// Issuers keeps the names under which tokens were issued. Tokens from before a change of Issuer or Audience are
	// then accepted until they expire; with nil they are not.
	Issuers IssuerStore
	Now     func() time.Time // the clock; default time.Now
	Random  random.Source    // of their jti; default the system's source, and another one for tests alone
	// CacheSize is how many verified tokens are remembered; default 10000. An entry takes a few hundred bytes.
	CacheSize int
}

// Tokens issues and verifies access tokens. It is safe for concurrent use.
type Tokens struct {
	ring    *KeyRing
	names   names
	lists   string
	issuers IssuerStore
	former  atomic.Pointer[map[names]time.Time] // until when they are accepted
	now     func() time.Time
	random  random.Source
	checks  []jwt.ValidateOption
	cache   tokenCache
}

// NewTokens returns an issuer and verifier that uses the keys of the ring. It panics without an issuer or an audience,
// since anybody's tokens would be accepted.
func NewTokens(ring *KeyRing, o TokenOptions) *Tokens {
	if o.Issuer == "" || o.Audience == "" {
		panic("auth: tokens need an issuer and an audience")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Tokens{
		ring:    ring,
		names:   names{o.Issuer, o.Audience},
		lists:   o.StatusLists,
		issuers: o.Issuers,
		now:     o.Now,
		random:  o.Random,
		cache:   tokenCache{size: cmp.Or(max(o.CacheSize, 0), 10_000)},
	}
	// The library's defaults require none of iss, aud, sub and jti, and a token without exp never expires. So they are
	// switched off, and every check is listed. iss and aud, of which several may be good, are checked before these, and
	// exp after them, in recheck. So "expired" means that all else is good.
	t.checks = []jwt.ValidateOption{
		jwt.WithResetValidators(true),
		jwt.WithClock(jwt.ClockFunc(t.now)),
		jwt.WithAcceptableSkew(leeway),
		jwt.WithTruncation(0), // compare as precisely as the cache does
		jwt.WithRequiredClaim(jwt.SubjectKey),
		jwt.WithRequiredClaim(jwt.JwtIDKey),
		jwt.WithRequiredClaim(sessionClaim),
		jwt.WithRequiredClaim(jwt.IssuedAtKey),
		jwt.WithRequiredClaim(jwt.NotBeforeKey),
		jwt.WithMaxDelta(ring.longest(), jwt.ExpirationKey, jwt.IssuedAtKey),
		jwt.WithValidator(jwt.IsIssuedAtValid()),
		jwt.WithValidator(jwt.IsNbfValid()),
	}
	return t
}

// sessionClaim is registered for JWTs by OpenID Connect Front-Channel Logout §3, with this meaning.
const sessionClaim = "sid"

// Content is what a token is to say.
type Content struct {
	UserID    int64
	SessionID string
	Mark      string // the end of the token's jti, which is unguessable
	IssuedAt  time.Time
	ExpiresAt time.Time
	// How and when the user proved who they are: amr (RFC 8176), acr and auth_time (RFC 9068 §2.2.1). They are for
	// others who read the token. Whoever issued it knows better.
	Methods  []string
	Class    string
	ProvedAt time.Time
	// The number of the status list that says whether the token has ended, and its place there; nil for none.
	StatusList  *int64
	StatusIndex int64
}

// Sign returns a token for a session of a user. Times are cut to seconds. It is an error to ask for a longer lifetime
// than the key ring's TokenLifetime, since the key could retire before the token.
type Sign = func(Content) (token string, err error)

// Signer returns the active key's kid, and a function that signs with that key without asking the store. Whoever stores
// something with a token signs first, and stores on condition that the key still counts. An error means that no key
// could be found.
func (t *Tokens) Signer(ctx context.Context) (kid string, sign Sign, err error) {
	key, err := t.ring.signer(ctx)
	if err != nil {
		return "", nil, err
	}
	return key.id, func(content Content) (string, error) { return t.sign(key, content) }, nil
}

// Reload reads the signing keys again, for a caller who learns that one is gone.
func (t *Tokens) Reload(ctx context.Context) error { return t.ring.Reload(ctx) }

func (t *Tokens) sign(key *signingKey, c Content) (token string, err error) {
	issuedAt, expiresAt := c.IssuedAt.UTC().Truncate(time.Second), c.ExpiresAt.UTC().Truncate(time.Second)
	switch lifetime := expiresAt.Sub(issuedAt); {
	case c.UserID <= 0:
		return "", errors.New("auth: issue a token: the user id is not positive")
	case c.SessionID == "":
		return "", errors.New("auth: issue a token: no session id")
	case lifetime <= 0 || lifetime > t.ring.lifetime:
		return "", fmt.Errorf("auth: issue a token: the lifetime %v is not within 0 and %v", lifetime, t.ring.lifetime)
	}
	builder := jwt.NewBuilder().
		Issuer(t.names.issuer).
		Subject(strconv.FormatInt(c.UserID, 10)).
		Audience([]string{t.names.audience}).
		IssuedAt(issuedAt).
		NotBefore(issuedAt).
		Expiration(expiresAt).
		JwtID(random.Text(t.random)+c.Mark).
		Claim(sessionClaim, c.SessionID).
		Claim("amr", c.Methods).
		Claim("acr", c.Class).
		Claim("auth_time", c.ProvedAt.Unix())
	if c.StatusList != nil && t.lists != "" {
		reference := statusReference{c.StatusIndex, t.listURI(key.id, *c.StatusList)}
		builder.Claim("status", statusClaim{reference})
	}
	unsigned, err := builder.Build()
	if err != nil {
		return "", fmt.Errorf("auth: issue a token: %w", err)
	}
	// One audience is a string, not a list of one. RFC 7519 §4.1.3 allows both, and a verifier that takes one of them
	// has less to misread.
	unsigned.Options().Enable(jwt.FlattenAudience)

	signed, err := sign(key, tokenType, unsigned)
	if err == nil && len(signed) > maxTokenLength {
		return "", errors.New("auth: issue a token: longer than what is accepted")
	}
	return signed, err
}

// Verify returns what a token says if it is ours: of the right shape, signed by a key that verifies now, for this
// issuer and audience, within its times. It returns that with ErrExpired too. An error that wraps neither ErrInvalid
// nor ErrExpired says nothing about the token: it names an unknown key, and the keys could not be loaded.
//
// A verified token proves no session. Whether that is still open, and its user active, is for the caller to find out.
// Two texts can carry the same claims, since an ES256 signature has a twin that verifies as well. So identify a token
// by SessionID and TokenID, never by its text.
func (t *Tokens) Verify(ctx context.Context, token string) (Claims, error) {
	if len(token) > maxTokenLength {
		return Claims{}, fmt.Errorf("%w: longer than 8 KiB", ErrInvalid)
	}
	digest := digestOf(token)
	if v, ok := t.cache.get(t.ring.current(), digest); ok {
		return t.recheck(v)
	}
	v, keys, err := t.verify(ctx, token)
	if err != nil {
		return v.claims, err
	}
	if keys != nil {
		t.cache.put(keys, digest, v)
	}
	return v.claims, nil
}

// verified is a token that passed, with what recheck needs.
type verified struct {
	claims Claims
	key    *signingKey
}

// recheck checks again what the clock may have changed since a token passed.
func (t *Tokens) recheck(v verified) (Claims, error) {
	now := t.now()
	switch {
	case !v.key.verifies(now):
		return Claims{}, errKeyState
	case now.Before(v.claims.IssuedAt.Add(-leeway)), now.Before(v.claims.NotBefore.Add(-leeway)):
		return Claims{}, errNotYetValid
	case !now.Before(v.claims.ExpiresAt.Add(expiryLeeway)):
		return v.claims, errExpired
	}
	return v.claims, nil
}

// This error is made once, because a front end with an expired token asks often.
var (
	errKeyState    = fmt.Errorf("%w: the key is not active yet, retired or revoked", ErrInvalid)
	errIssuer      = fmt.Errorf("%w: not an issuer and audience of ours", ErrInvalid)
	errNotYetValid = fmt.Errorf("%w: not valid yet", ErrInvalid)
	errExpired     = fmt.Errorf("%w: after exp", ErrExpired)
)

func (t *Tokens) verify(ctx context.Context, token string) (verified, *keySnapshot, error) {
	c, err := readCompact(token)
	switch {
	case errors.Is(err, ErrOtherKind):
		return verified{}, nil, err
	case err != nil:
		return verified{}, nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	key, keys, err := t.ring.find(ctx, c.header.KeyID)
	switch {
	case err != nil:
		return verified{}, nil, err
	case key == nil:
		return verified{}, nil, fmt.Errorf("%w: unknown key", ErrInvalid)
	case !key.verifies(t.now()):
		return verified{}, nil, errKeyState
	case c.header.Algorithm != key.algorithm.String():
		// The key decides, never the token (RFC 8725 §3.1).
		return verified{}, nil, fmt.Errorf("%w: not the algorithm of the key", ErrInvalid)
	}
	// The library's jws.Verify and jwt.Parse check the signature of the header as they have read it, without blanks
	// around its JSON. So a token with added blanks would pass. The verifier sees the bytes that came.
	if err := key.verifier.Verify([]byte(c.signed), c.signature, key.public); err != nil {
		return verified{}, nil, fmt.Errorf("%w: the signature does not match", ErrInvalid)
	}
	issuer := names{c.claims.Issuer, c.claims.Audience}
	if err := t.accepts(ctx, issuer); err != nil {
		return verified{}, nil, err
	}
	believed := jwt.New()
	if err := json.Unmarshal(c.payload, believed); err != nil {
		return verified{}, nil, fmt.Errorf("%w: the claims are malformed", ErrInvalid)
	}
	said := verified{
		claims: Claims{
			UserID:    c.claims.Subject,
			SessionID: c.claims.SessionID,
			TokenID:   c.claims.TokenID,
			KeyID:     key.id,
			Issuer:    c.claims.Issuer,
			Audience:  c.claims.Audience,
			IssuedAt:  time.Unix(c.claims.IssuedAt, 0).UTC(),
			NotBefore: time.Unix(c.claims.NotBefore, 0).UTC(),
			ExpiresAt: time.Unix(c.claims.Expires, 0).UTC(),
		},
		key: key,
	}
	if err := jwt.Validate(believed, t.checks...); err != nil {
		return verified{}, nil, refusal(err)
	}
	if _, err := t.recheck(said); err != nil {
		return said, nil, err
	}
	if issuer != t.names {
		keys = nil // not remembered, for its issuer may end meanwhile
	}
	return said, keys, nil
}

// refusal translates the outcome of the checks. The library's own texts name a claim and no value.
func refusal(err error) error {
	if errors.Is(err, jwt.ErrTokenNotYetValid()) || errors.Is(err, jwt.ErrInvalidIssuedAt()) {
		return errNotYetValid
	}
	return fmt.Errorf("%w: %w", ErrInvalid, err)
}
