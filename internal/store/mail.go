package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// mailColumns has the fields of identity.Mail in their order.
type mailColumns struct {
	ID     string `bun:",pk"`
	UserID *int64

	Kind                identity.MailKind
	Recipient, Language string

	CreatedAt, ExpiresAt, DueAt time.Time

	Tries                      int64
	Claim                      string
	HandedAt, SentAt, FailedAt *time.Time
	Problem                    string
	Sealed                     []byte
}

type mailRow struct {
	bun.BaseModel `bun:"table:mails"`
	mailColumns
}

func (r mailRow) mail() identity.Mail {
	r.CreatedAt, r.ExpiresAt, r.DueAt = r.CreatedAt.UTC(), r.ExpiresAt.UTC(), r.DueAt.UTC()
	return identity.Mail(r.mailColumns)
}

func insertMail(ctx context.Context, db bun.IDB, mail ...identity.Mail) error {
	if len(mail) == 0 {
		return nil
	}
	rows := each(mail, func(m identity.Mail) mailRow { return mailRow{mailColumns: mailColumns(m)} })
	_, err := db.NewInsert().Model(&rows).Returning("NULL").Exec(ctx)
	return err
}

// toSend is the condition on messages that are not sent, and not given up. Its index begins with due_at.
const toSend = "sealed is not null and failed_at is null"

// waitingSQL counts no further than needed.
const waitingSQL = "select count(*) from (select 1 from mails where " + toSend + " limit ?) as waiting"

// AddMail implements [identity.MailStore]. An id is never used twice, so a row that is there already comes from the try
// before.
func (s *Store) AddMail(ctx context.Context, mail ...identity.Mail) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		var waiting int
		if err := tx.NewRaw(waitingSQL, identity.MostMail).Scan(ctx, &waiting); err != nil {
			return err
		}
		if waiting >= identity.MostMail {
			return errs.Unavailable(errors.New("very many messages wait to be sent"))
		}
		return insertMail(ctx, tx, mail...)
	})
}

// WaitingMail implements [identity.MailStore].
func (s *Store) WaitingMail(ctx context.Context, now time.Time) (waiting int, due bool, err error) {
	err = s.ask(ctx, s.reads.NewRaw(
		"select ("+waitingSQL+") as waiting, exists (select 1 from mails where "+toSend+" and due_at <= ?) as due",
		identity.MostMail, now), &waiting, &due)
	return waiting, due, err
}

// ClaimMail implements [identity.MailStore]. If its answer is lost, the message waits until the claim ends.
func (s *Store) ClaimMail(ctx context.Context, now, until time.Time, claim string) (identity.Mail, error) {
	var row mailRow
	next := "select id from mails where " + toSend + " and due_at <= ? order by due_at, id limit 1" +
		s.dialect.locks("update skip locked")
	err := s.ask(ctx, s.writes.NewUpdate().Model(&row).Set("claim = ?", claim).Set("due_at = ?", until).
		Set("tries = tries + 1").Where("id in ("+next+")", now).Returning("?Columns"))
	return row.mail(), missing(err, "mail")
}

// HandMail implements [identity.MailStore].
func (s *Store) HandMail(
	ctx context.Context, mail identity.Mail, now, until time.Time, email identity.Folded,
	decide func(user, owner identity.User) identity.Handing,
) (handed bool, err error) {
	var handing identity.Handing
	err = s.tell(ctx, s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		user, owner, err := s.recipients(ctx, tx, mail.UserID, email)
		if err != nil {
			return err
		}
		handing = decide(user, owner)
		if handing.Code != nil && !handing.Drop {
			if handing.Drop, err = outdated(ctx, tx, mail, *handing.Code, now); err != nil {
				return err
			}
		}
		if handed = !handing.Drop; !handed {
			handing.Events = nil
			_, err := tx.NewRaw("delete from mails where id = ? and claim = ?", mail.ID, mail.Claim).Exec(ctx)
			return err
		}
		if mail.HandedAt != nil { // what goes with it was recorded then
			handing.Code, handing.Events = nil, nil
		}
		if err := insertCode(ctx, tx, handing.Code); err != nil {
			return err
		}
		if err := insertEvents(ctx, tx, handing.Events...); err != nil {
			return err
		}
		var id string
		err = tx.NewRaw(`
   update mails set handed_at = coalesce(handed_at, ?), due_at = ?, user_id = coalesce(user_id, ?)
    where id = ? and claim = ? and `+toSend+`
returning id`, now, until, sql.NullInt64{Int64: handing.UserID, Valid: handing.UserID != 0}, mail.ID, mail.Claim).
			Scan(ctx, &id)
		return missing(err, "message")
	}), handing.Events...)
	return handed, err
}

// recipients returns the user whom a message is about and the one with the email to which it goes, zero where there is
// none. It locks the one who may get a code, as changes of the account do.
func (s *Store) recipients(
	ctx context.Context, tx bun.Tx, userID *int64, email identity.Folded,
) (user, owner identity.User, err error) {
	var rows []userRow
	query := tx.NewSelect().Model(&rows)
	if userID != nil {
		query.Where("id = ?", *userID)
	} else {
		query.Where("email_key = ?", email)
	}
	if err := s.dialect.locking(query, "no key update").Scan(ctx); err != nil {
		return user, owner, err
	}
	for _, row := range rows {
		user = row.user()
	}
	if userID == nil {
		return identity.User{}, user, nil
	}
	rows = nil
	if err := tx.NewSelect().Model(&rows).Where("email_key = ?", email).Scan(ctx); err != nil {
		return user, owner, err
	}
	for _, row := range rows {
		owner = row.user()
	}
	return user, owner, nil
}

// outdated reports whether a message with a code is of no use any more: a newer one of its kind was written since, for
// the same user or email; or it comes again, and the code that it brought has ended. A registration ends no other.
func outdated(
	ctx context.Context, tx bun.Tx, mail identity.Mail, code identity.Code, now time.Time,
) (yes bool, err error) {
	if mail.HandedAt != nil {
		err = tx.NewRaw("select not exists (select 1 from codes where id = ? and expires_at > ?)", code.ID, now).
			Scan(ctx, &yes)
		return yes, err
	}
	if code.Purpose == identity.CompletesRegistration {
		return false, nil
	}
	// A message about another user, who asks for this email too, is none of this one's.
	user := sql.NullInt64{}
	if code.UserID != nil {
		user = sql.NullInt64{Int64: *code.UserID, Valid: true}
	}
	err = tx.NewRaw(`
select exists (select 1 from mails where recipient = ? and kind = ? and created_at > ?
                                         and (user_id is null or user_id = ?))
    or exists (select 1 from mails where user_id = ? and kind = ? and created_at > ?)`,
		mail.Recipient, mail.Kind, mail.CreatedAt, user, user, mail.Kind, mail.CreatedAt).Scan(ctx, &yes)
	return yes, err
}

// SettleMail implements [identity.MailStore].
func (s *Store) SettleMail(ctx context.Context, mail identity.Mail, outcome identity.MailOutcome) error {
	var query interface {
		Exec(ctx context.Context, into ...any) (sql.Result, error)
	}
	switch {
	case outcome.Sent:
		query = s.writes.NewRaw("update mails set sent_at = ?, sealed = null, claim = '', problem = '' where id = ?",
			outcome.At, mail.ID)
	case outcome.Failed:
		query = s.writes.NewRaw(`
update mails set failed_at = ?, claim = '', problem = ?, sealed = case when ? then null else sealed end
 where id = ? and claim = ?`, outcome.At, outcome.Problem, outcome.Over, mail.ID, mail.Claim)
	default:
		query = s.writes.NewRaw(`
update mails set due_at = ?, claim = '', problem = ?, handed_at = case when ? then handed_at end
 where id = ? and claim = ?`, outcome.At, outcome.Problem, outcome.InDoubt, mail.ID, mail.Claim)
	}
	_, err := s.change(ctx, query)
	return err
}

// Mails implements [identity.MailStore].
func (s *Store) Mails(ctx context.Context, unsent bool, limit int) ([]identity.Mail, error) {
	var rows []mailRow
	query := s.reads.NewSelect().Model(&rows).ExcludeColumn("sealed").Order("created_at desc", "id").Limit(int64(limit))
	if unsent {
		query.Where("sent_at is null")
	}
	err := s.ask(ctx, query)
	return each(rows, mailRow.mail), err
}

// RetryMail implements [identity.MailStore].
func (s *Store) RetryMail(
	ctx context.Context, by identity.Session, id string, now time.Time, happened identity.Event,
) error {
	return s.tell(ctx, s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.authorize(ctx, tx, by); err != nil {
			return err
		}
		var found string
		err := tx.NewRaw(`
   update mails set failed_at = null, handed_at = null, due_at = ?, tries = 0
    where id = ? and failed_at is not null and sealed is not null and expires_at > ?
returning id`, now, id, now).Scan(ctx, &found)
		if err != nil {
			return missing(err, "mail")
		}
		return insertEvents(ctx, tx, happened)
	}), happened)
}

// SweepMail implements [identity.MailStore].
func (s *Store) SweepMail(ctx context.Context, now, before time.Time, limit int) (int, error) {
	const useless = `
select id from mails where sealed is not null and expires_at <= ? and (claim = '' or due_at <= ?) limit ?`
	emptied, err := s.change(ctx, s.writes.NewRaw(`
update mails set sealed = null, claim = '', failed_at = coalesce(failed_at, ?),
       problem = case when failed_at is null then 'came too late' else problem end
 where id in (`+useless+s.dialect.locks("update skip locked")+`)`, now, now, now, limit))
	if err != nil {
		return 0, err
	}
	removed, err := s.change(ctx, s.writes.NewRaw("delete from mails where id in ("+
		"select id from mails where created_at < ? order by created_at limit ?"+
		s.dialect.locks("update skip locked")+")", before, limit))
	return max(emptied, removed), err
}
