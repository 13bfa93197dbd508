// Package auth keeps Conduit's secrets: it hashes passwords, holds the signing keys, and issues and verifies access
// tokens.
//
// # What it promises
//
// A password leaves this package only as an argon2id hash with its own salt (RFC 9106; OWASP Password Storage Cheat
// Sheet). A check for an account that does not exist costs one hash too, so the time of an answer does not show who has
// an account (OWASP Authentication Cheat Sheet). A flood of log-ins queues for a bounded time and does not take the
// machine's memory.
//
// A private signing key rests sealed under a key-encryption key that the database never sees, so a copy of the database
// signs nothing. A key verifies only while its private half opens under that key, so a row planted in the database does
// not become a trusted key. There is no default secret: the first start makes its own.
//
// A signing key changes by itself, and a rotation refuses no token. A next key is published for longer than anybody may
// keep the key set before it signs. A retired key verifies for as long as any of its tokens lives. A revoked key's
// tokens end at once. There is always a key that signs, even when one is revoked or a clock steps back. States follow
// from times that are stored once, and changes are decided under the store's lock, so instances that share a store
// agree without talking.
//
//	     11 minutes         30 days            its last token has expired
//	next ---------> active ---------> retired ---------------------------> ended, then deleted
//	published       signs             verifies
//	  |               |                  |
//	  +---------------+------------------+--> revoked at any time: verifies nothing
//
// An access token is a JWT (RFC 7519) of one shape. Verify refuses any other shape before it looks at a signature. The
// header may hold nothing but alg, kid and typ, so a token can neither bring its own key nor choose its own algorithm
// (RFC 8725 §3.1, §3.10). A token that could not be checked is never called invalid, because front ends log people
// out when a token is.
//
// A status list says which tokens have ended, for those who have the public keys and nothing else. It is signed with
// the same keys, has a type of its own, and is no access token.
//
// # What it must not know
//
// Users, SQL and HTTP. To this package a user is a number and a session a string. A valid token alone is no permission:
// after each verification the caller decides whether the session is still open and its user still active.
//
// It writes no log, and no error of its own holds a password, a key or a token. It is the only package that imports
// jwx.
package auth
