// Package auth keeps Conduit's secrets: it hashes passwords, holds the signing
// keys, and issues and verifies access tokens.
//
// # What it promises
//
// A password leaves this package only as an argon2id hash with its own salt. A
// check against no account at all costs one hash too, so the time of an answer
// does not tell who has an account, and a flood of log-ins queues for a bounded
// time instead of taking the machine's memory.
//
// A private signing key rests sealed under a key-encryption key which the
// database never sees, so a copy of the database signs nothing. A key verifies
// only while its private half opens under that key, so a row planted in the
// database does not become a key which is believed. There is no default secret:
// the first start makes its own.
//
// Keys change by themselves. A next key is published for longer than anybody may
// keep the key set before it signs, and a retired one verifies for as long as any
// of its tokens lives, so a rotation refuses no token; then it is deleted,
// private half and all. States follow from times that are stored once, and changes
// are decided under the store's lock, so instances that share a store agree
// without talking. Revoking a key ends its tokens at once, and leaves no moment
// without a key that signs; nor does a clock which steps back.
//
// An access token is a JWT (RFC 7519) of one shape.
// Verify refuses any other shape before it looks at a signature: the header may
// hold nothing but alg, kid and typ, so a token can neither bring its own key
// nor choose its own algorithm (RFC 8725 §3.1, §3.10). A token which could
// not be checked is never called invalid, because front ends log people out
// when a token is.
//
// # What it must not know
//
// Users, SQL and HTTP. To this package a user is a number and a session a
// string; whether the session is still open, and its user still welcome, is
// decided by the caller after each verification. A valid token alone is no
// permission.
//
// It writes no log, and no error of its own holds a password, a key or a token.
// It is the only package which imports jwx.
package auth
