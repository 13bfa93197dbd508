// Package identity is about who is asking: users, their logins and sessions, and the record of what happened to them.
//
// A person proves who they are once, with a password, and gets a session. Whatever they present afterwards, an access
// token or a refresh token, names that session and ends with it.
//
//	        login                it expires
//	nothing ------> live session -----------> over: its tokens are refused, and a sweep removes it
//	                     | logged out, revoked, evicted by newer ones; another password or email;
//	                     v account disabled or deleted; a refresh token was reused
//	                    gone: its tokens are refused at once
//
// Refresh tokens keep a session live. Each is exchanged for the next, and moves the session's end, up to a limit
// (RFC 9700 §4.14.2):
//
//	       exchanged                      successor used, grace time over
//	newest ---------> replaced -----------------------------------------> used up
//	                  presented again: the same successor                 presented again: the session ends
//
// What admins and operators do to the accounts of others they do with an [Authority]. [Throttle] slows down guessing.
// What happens to an account or to a signing key becomes an [Event].
// Who has forgotten the password, or has yet to show that an email is theirs, gets a [Code] by mail. [Outbox] sends
// what was recorded with each change.
//
// [Throttle] slows down guessing. What happens to an account or to a signing key becomes an [Event].
//
// The package knows nothing of HTTP, JSON or SQL, of what a token looks like inside, or of what people write. It
// declares what it needs of other rooms as interfaces, and internal/app plugs them together.
package identity
