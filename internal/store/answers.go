package store

import (
	"context"
	"time"

	"conduit/internal/identity"
)

// Kept implements [identity.RetryStore]. What makes a promise is held back here too: it may have been committed just
// now at another instance, or the process that was to wait was killed.
func (s *Store) Kept(ctx context.Context, scope []byte, now time.Time) (kept identity.Kept, err error) {
	var promises bool
	err = s.readFrom(ctx, s.reads.DB, asSQL(
		"select request, sealed, session_id, promises from idempotency_keys where scope = ? and expires_at > ?",
		scope, now.UTC()), row(&kept.Request, &kept.Sealed, &kept.Ended, &promises))
	if err == nil && promises {
		err = s.lease.promise(nil)
	}
	return kept, missing(err, "answer")
}

// trimmedAtOnce is how many answers an account may have too many. To look for the oldest takes milliseconds, in which
// nobody else changes what the request has changed. To count them takes less.
const trimmedAtOnce = 16

// keeping returns the last statements of a unit. Of an account they keep the newest answers alone: it may be that
// somebody sends keys to fill the disk. Rows that others are removing just now are left to them.
func (u *unit) keeping(sealed []byte) []statement {
	if sealed == nil {
		return []statement{does("delete from idempotency_keys where scope = ?", u.claim.Scope)}
	}
	c := u.claim
	noted := does(`
update idempotency_keys
   set sealed = ?, size = ?, user_id = ?, promises = ?,
       session_id = case when exists (select 1 from sessions where sessions.id = ?) then '' else ? end
 where scope = ?`,
		sealed, int64(len(sealed)), c.UserID, u.promises, c.SessionID, c.SessionID, c.Scope)
	if c.UserID == 0 { // nobody's, of which what is counted bounds the number
		return []statement{noted}
	}
	return []statement{noted, does(`
delete from idempotency_keys
 where (select count(*) > ? or sum(size) > cast(? as bigint) from idempotency_keys where user_id = ?)
   and scope in (
        select scope from idempotency_keys
         where user_id = ? and scope in (
                select scope
                  from (select scope, row_number() over newest as place, sum(size) over newest as bytes
                          from idempotency_keys where user_id = ?
                        window newest as (order by expires_at desc, scope desc rows unbounded preceding)) as mine
                 where place > ? or bytes > cast(? as bigint))
           and scope <> ?`+u.store.dialect.locks("update skip locked")+`)`,
		int64(identity.MostAnswers+trimmedAtOnce), int64(identity.MostAnswerBytes), c.UserID,
		c.UserID, c.UserID, int64(identity.MostAnswers), int64(identity.MostAnswerBytes), c.Scope)}
}

// owned notes whose answer it is that is made with a context, where the request did not say.
func owned(ctx context.Context, userID int64) {
	if u := unitOf(ctx); u != nil {
		u.claim.UserID = userID
	}
}

// forgetAnswers removes what is kept of a user's requests, but for the one that is being answered.
const forgetAnswers = "delete from idempotency_keys where user_id = ? and size > 0"

// SweepAnswers implements [identity.RetryStore].
func (s *Store) SweepAnswers(ctx context.Context, now time.Time, limit int) (int, error) {
	over := "select scope from idempotency_keys where expires_at <= ? order by expires_at limit ?" +
		s.dialect.locks("update skip locked")
	return s.change(ctx, s.writes.NewRaw("delete from idempotency_keys where scope in ("+over+")", now.UTC(), limit))
}
