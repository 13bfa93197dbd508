package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// userColumns has the fields of identity.User in their order, as all types of columns have those of a domain's type. So
// one converts to the other, and a drift between them does not compile.
type userColumns struct {
	ID int64 `bun:",pk,autoincrement"`

	Username, Email, PasswordHash string
	Bio, Image                    *string
	CreatedAt, UpdatedAt          time.Time
	DisabledAt                    *time.Time
	Role                          identity.Role

	SecondFactorAt *time.Time
	EmailProvedAt  *time.Time
}

type userRow struct {
	bun.BaseModel `bun:"table:users"`
	userColumns
	UsernameKey, EmailKey identity.Folded
	UsernameLook          string
}

func newUserRow(user identity.User) userRow {
	return userRow{
		userColumns:  userColumns(user),
		UsernameKey:  identity.Fold(user.Username),
		EmailKey:     identity.Fold(user.Email),
		UsernameLook: identity.Look(user.Username),
	}
}

func (r userRow) user() identity.User {
	r.CreatedAt, r.UpdatedAt = r.CreatedAt.UTC(), r.UpdatedAt.UTC() // drivers answer in local time
	if r.SecondFactorAt != nil {
		since := r.SecondFactorAt.UTC()
		r.SecondFactorAt = &since
	}
	return identity.User(r.userColumns)
}

// CreateUser implements [identity.UserStore].
func (s *Store) CreateUser(
	ctx context.Context, user identity.User, first identity.Session, kid string,
	complete func(id int64) (identity.Outcome, error),
) (identity.User, error) {
	row := newUserRow(user)
	var outcome identity.Outcome
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		if err := insertUser(ctx, tx, &row); err != nil {
			return err
		}
		if outcome, err = complete(row.ID); err != nil {
			return err
		}
		if first.ID == "" {
			return insertOutcome(ctx, tx, outcome)
		}
		var id string
		if err := tx.NewRaw(`
insert into sessions (id, user_id, created_at, last_seen_at, expires_at, user_agent, ip_address, methods, proved_at,
                      status_index, tokens_until)
select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? where `+keyCounts+" and "+placeFree+`
returning id`,
			first.ID, row.ID, first.CreatedAt, first.LastSeenAt, first.ExpiresAt, first.UserAgent, first.IPAddress,
			jsonOf(first.Methods), first.ProvedAt, first.Place, first.ExpiresAt, kid, first.Place,
		).Scan(ctx, &id); errors.Is(err, sql.ErrNoRows) {
			free, err := placeIsFree(ctx, tx, first)
			if err == nil && free {
				err = identity.ErrKeyGone
			} else if err == nil {
				err = identity.ErrPlaceTaken
			}
			return err
		} else if err != nil {
			return err
		}
		return insertOutcome(ctx, tx, outcome)
	})
	if violatesPlace(err) {
		err = identity.ErrPlaceTaken
	}
	if err = s.tell(ctx, err, outcome.Events...); err != nil {
		return identity.User{}, s.taken(ctx, row, err)
	}
	owned(ctx, row.ID)
	return row.user(), nil
}

// insertOutcome inserts what a change has recorded, and the messages that tell of it.
func insertOutcome(ctx context.Context, db bun.IDB, outcome identity.Outcome) error {
	if err := insertEvents(ctx, db, outcome.Events...); err != nil {
		return err
	}
	return insertMail(ctx, db, outcome.Mail...)
}

// insertUser inserts a user. Triggers refuse reserved names and names that look like another's.
func insertUser(ctx context.Context, db bun.IDB, row *userRow) error {
	row.ID = 0 // a first try may have set it
	_, err := db.NewInsert().Model(row).Exec(ctx)
	return err
}

// DeleteUser implements [identity.UserStore].
func (s *Store) DeleteUser(
	ctx context.Context, by identity.Session, reserve time.Time, happened identity.Event,
) error {
	return s.promise(ctx, s.tell(ctx, s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.authorize(ctx, tx, by); err != nil {
			return err
		}
		if err := s.spareLastAdmin(ctx, tx, by); err != nil {
			return err
		}
		large, err := isLarge(ctx, tx, by.UserID)
		if err != nil {
			return err
		}
		remove := s.deleteWhole
		if large {
			remove = s.beginDeletion
		}
		name, err := remove(ctx, tx, by, happened.At)
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw(forgetAnswers, by.UserID).Exec(ctx); err != nil {
			return err
		}
		former := newUserRow(identity.User{Username: name})
		if err := reserveName(ctx, tx, former, reserve); err != nil {
			return err
		}
		return insertEvents(ctx, tx, happened)
	}), happened))
}

// deleteWhole removes a user with all that is theirs, and returns the name that they had.
func (s *Store) deleteWhole(ctx context.Context, tx bun.Tx, by identity.Session, _ time.Time) (name string, err error) {
	if err := s.lockContent(ctx, tx, by.UserID); err != nil { // which goes with the user
		return "", err
	}
	// The session is a condition, for one that has ended meanwhile deletes nothing.
	query := tx.NewDelete().Table("users").Where("id = ?", by.UserID).Where(notDeleted).Returning("username")
	if by.Own() {
		query.Where("exists (select 1 from sessions where sessions.id = ?)", by.ID)
	}
	return name, gone(query.Scan(ctx, &name), by)
}

// lockContent locks the articles of a user, those that are favourites of theirs, and the sums that change with them.
func (s *Store) lockContent(ctx context.Context, tx bun.Tx, userID int64) error {
	if !s.dialect.postgres {
		return nil
	}
	if _, err := tx.NewRaw(`
select from articles
 where author_id = ? or id in (select article_id from favorites where user_id = ?)
 order by id for update`, userID, userID).Exec(ctx); err != nil {
		return err
	}
	// Whole, and before other users: a weaker lock would have to become this one while others hold their own.
	if _, err := tx.NewRaw("select from users where id = ? for update", userID).Exec(ctx); err != nil {
		return err
	}
	return s.lockSums(ctx, tx, "select id from articles where author_id = ?", userID)
}

// gone turns sql.ErrNoRows into SessionOver for a session, whose user is gone with it, and into NotFound for admins and
// operators, who named a user that is not there.
func gone(err error, by identity.Session) error {
	if errors.Is(err, sql.ErrNoRows) && by.Own() {
		return identity.SessionOver()
	}
	return missing(err, "user")
}

// reserveName keeps the former name of a user from everybody else. If the row has no id it keeps it from that user too.
func reserveName(ctx context.Context, tx bun.Tx, former userRow, until time.Time) error {
	_, err := tx.NewRaw(`
insert into reserved_names (username_key, username_look, plain, user_id, until)
values (?, ?, ?, ?, ?)
    on conflict (username_key) do update
   set username_look = excluded.username_look, plain = excluded.plain, user_id = excluded.user_id,
       until = excluded.until`,
		former.UsernameKey, former.UsernameLook, identity.IsASCII(former.Username),
		sql.NullInt64{Int64: former.ID, Valid: former.ID != 0}, until).Exec(ctx)
	return err
}

// keepName reserves the former name of a user who has another one now. It returns TooManyNames if the user has reserved
// as many as may be.
func keepName(ctx context.Context, tx bun.Tx, former, now userRow, until time.Time) error {
	if _, err := tx.NewRaw("delete from reserved_names where user_id = ? and username_key = ?",
		former.ID, now.UsernameKey).Exec(ctx); err != nil {
		return err
	}
	var resting []time.Time
	if err := tx.NewRaw("select until from reserved_names where user_id = ? and until > ? order by until limit ?",
		former.ID, now.UpdatedAt, identity.MostReserved).Scan(ctx, &resting); err != nil {
		return err
	}
	if len(resting) == identity.MostReserved {
		return identity.TooManyNames(resting[0].Sub(now.UpdatedAt))
	}
	return reserveName(ctx, tx, former, until)
}

// SweepNames implements [identity.UserStore].
func (s *Store) SweepNames(ctx context.Context, now time.Time, limit int) (int, error) {
	// A name that somebody is leaving or taking back just now is locked, and not over.
	over := "select username_key from reserved_names where until <= ? order by until limit ?" +
		s.dialect.locks("update skip locked")
	return s.change(ctx, s.writes.NewRaw("delete from reserved_names where username_key in ("+over+")", now, limit))
}

// UserByEmail implements [identity.UserStore].
func (s *Store) UserByEmail(ctx context.Context, email identity.Folded) (identity.User, error) {
	var row userRow
	err := s.ask(ctx, s.reads.NewSelect().Model(&row).Where("email_key = ?", email))
	return row.user(), missing(err, "user")
}

// UpdateUser implements [identity.UserStore].
func (s *Store) UpdateUser(
	ctx context.Context, by identity.Session, change func(*identity.User) (identity.Outcome, error),
) (identity.User, error) {
	var row userRow
	var outcome identity.Outcome
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		if err := s.authorize(ctx, tx, by); err != nil {
			return err
		}
		found := userRow{}
		query := tx.NewSelect().Model(&found).Where("id = ?", by.UserID)
		if err := s.dialect.locking(query, "no key update").Scan(ctx); err != nil {
			return gone(err, by)
		}
		// This is a statement of its own, behind the lock. The one that waits for the lock would not see what the other
		// transaction did.
		if err := s.stillHeld(ctx, tx, by); err != nil {
			return err
		}
		row, outcome, err = s.saveUser(ctx, tx, by, found, change)
		return err
	})
	if err = s.promise(ctx, s.tell(ctx, err, outcome.Events...)); err != nil {
		return identity.User{}, s.taken(ctx, row, err)
	}
	return row.user(), nil
}

// saveUser has change alter a user who is loaded and locked, and saves them and the outcome. After an error it returns
// what could not be saved.
func (s *Store) saveUser(
	ctx context.Context, tx bun.Tx, by identity.Session, found userRow,
	change func(*identity.User) (identity.Outcome, error),
) (row userRow, outcome identity.Outcome, err error) {
	user := found.user()
	if outcome, err = change(&user); err != nil {
		return row, outcome, err
	}
	if outcome.LosesAdmin {
		if err := otherAdmin(ctx, tx, user.ID); err != nil {
			return row, outcome, err
		}
	}
	row = newUserRow(user)
	if _, err := tx.NewUpdate().Model(&row).WherePK().Exec(ctx); err != nil {
		return row, outcome, err
	}
	if !outcome.Reserve.IsZero() {
		if err := keepName(ctx, tx, found, row, outcome.Reserve); err != nil {
			return row, outcome, err
		}
	}
	err = carryOut(ctx, tx, by, &outcome)
	return row, outcome, err
}

// carryOut does what a change of a user brings with it, whatever was changed. It adds to the events what it ended.
func carryOut(ctx context.Context, tx bun.Tx, by identity.Session, outcome *identity.Outcome) error {
	if outcome.EndOthers {
		why := identity.EndedByChange
		if slices.ContainsFunc(outcome.Events, func(happened identity.Event) bool {
			return happened.Action == identity.AccountDisabled
		}) {
			why = identity.EndedByDisable
		}
		if _, err := tx.NewRaw(endingSQL+" where user_id = ? and id <> ?", why, by.UserID, by.ID).
			Exec(ctx); err != nil {
			return err
		}
		if err := endCodes(ctx, tx, by.UserID); err != nil {
			return err
		}
	}
	if err := endPasskeys(ctx, tx, by.UserID, outcome); err != nil {
		return err
	}
	return insertOutcome(ctx, tx, *outcome)
}

// SetPasswordHash implements [identity.UserStore].
func (s *Store) SetPasswordHash(ctx context.Context, id int64, from, to string) error {
	_, err := s.change(aside(ctx), s.writes.NewUpdate().Model((*userRow)(nil)).Set("password_hash = ?", to).
		Where("id = ?", id).Where("password_hash = ?", from))
	return err
}

// taken turns the violation of a unique name or email into [errs.Taken]. The database names one of them. People want to
// know all fields that they have to change, so taken looks for both.
func (s *Store) taken(ctx context.Context, row userRow, err error) error {
	username := violates(err, "users_username_key", "users.username_key") ||
		violates(err, "users_username_look", "users.username_look")
	email := violates(err, "users_email_key", "users.email_key")
	if !username && !email {
		return err
	}
	var others []userRow
	if err := s.ask(ctx, s.reads.NewSelect().Model(&others).Column("username_key", "email_key").
		Where("id <> ? and (username_key = ? or email_key = ?)", row.ID, row.UsernameKey, row.EmailKey)); err != nil {
		return err
	}
	for _, other := range others {
		username = username || other.UsernameKey == row.UsernameKey
		email = email || other.EmailKey == row.EmailKey
	}
	var fields []string
	if username {
		fields = append(fields, "username")
	}
	if email {
		fields = append(fields, "email")
	}
	return errs.Taken(fields...)
}

// addLooks adds the looks of names that have none: those that a version wrote which knew of no looks.
func (s *Store) addLooks(ctx context.Context) error {
	type named struct {
		ID             int64
		Username, Look string
	}
	for _, table := range []struct{ read, write string }{
		{"select id, username from users where username_look is null order by id limit ?", `
update users set username_look = looks.look
  from looks where users.id = looks.id and users.username = looks.username`},
		{`
select 0 as id, username_key as username from reserved_names where username_look is null order by username_key limit ?`,
			`
update reserved_names set username_look = looks.look
  from looks where reserved_names.username_key = looks.username`},
	} {
		for {
			var rows []named
			if err := s.ask(ctx, s.writes.NewRaw(table.read, looksBatch), &rows); err != nil {
				return err
			}
			if len(rows) == 0 {
				break
			}
			for i, row := range rows {
				rows[i].Look = identity.Look(row.Username)
			}
			if _, err := s.change(ctx, s.writes.NewRaw("with looks (id, username, look) as (?) "+table.write,
				s.writes.NewValues(&rows))); err != nil {
				return err
			}
		}
	}
	return nil
}

const looksBatch = 500
