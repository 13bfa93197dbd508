// Package identity is who is asking: users, how they log in, their sessions, and what is recorded of it.
//
// A person proves who they are once, with a password, and gets a session. Whatever they present afterwards, an access
// token or a refresh token, names that session; when it ends, so do they. Guessing is slowed down by [Throttle], and
// what happens to an account or to a signing key becomes an [Event].
//
// The package knows nothing of HTTP, JSON, SQL, of what a token looks like inside, or of what people write. What it
// needs of other rooms it declares as interfaces; internal/app plugs them together.
package identity
