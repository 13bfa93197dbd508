package identity

import (
	"context"

	"golang.org/x/text/unicode/norm"

	"conduit/internal/errs"
)

// RequestReset has a code sent that sets a new password, if the email has an account. Nothing looks whether it has one
// before the message is sent, so the answer cannot tell.
func (u *Users) RequestReset(ctx context.Context, email string, client Client) error {
	email = norm.NFC.String(email)
	problems := errs.Fields{}
	if checkEmail(problems, email); len(problems) > 0 {
		return problems.Err()
	}
	asked, err := u.Throttle.reset(context.WithoutCancel(ctx), email, client)
	if errs.Is(err, errs.KindTooMany) {
		target := named(asked.held.target)
		if asked.held.target == "" {
			target = named(u.Throttle.account(email))
		}
		return u.Throttle.refused(ctx, err, sighting{ResetThrottled, client, 0, asked.held.Key, target})
	}
	if err != nil {
		return err
	}
	client.UserAgent = shortAgent(client.UserAgent)
	err = u.Outbox.Store.AddMail(ctx, u.Outbox.write(MailReset, 0, client, codeWaits, content{
		To: email, Code: u.Outbox.newCode(), Client: &client,
	}))
	Afterwards(ctx, u.Outbox.Wake)
	return err
}

// decideReset decides about such a message when it is about to be handed over. It goes to the email that the account
// has, which may be spelled otherwise than the one that somebody typed.
func (o *Outbox) decideReset(says content, owner User) (Letter, Handing) {
	if owner.ID == 0 || owner.DisabledAt != nil {
		return Letter{}, Handing{Drop: true}
	}
	code := o.code(says.Code, SetsPassword, UserTarget(owner.ID), nil)
	code.UserID, code.Bound = &owner.ID, o.boundPassword(owner)
	handing := Handing{UserID: owner.ID, Code: code}
	if says.Client != nil {
		handing.Events = []Event{says.Client.event(o.Now(), 0, ResetRequested, UserTarget(owner.ID))}
	}
	letter := Letter{Kind: MailReset, To: owner.Email, Username: owner.addressed()}
	return o.withCode(letter, "reset", says.Code), handing
}

// ResetPassword sets the password of the user to whose email a code went. All their sessions end, and all other codes.
// Second factors stay as they are: whoever logs in with the new password still needs the factor. Passkeys stay too, if
// the email was proven before. Otherwise anybody may have registered with it, and added a passkey as a way back in for
// the day when its owner comes.
func (u *Users) ResetPassword(ctx context.Context, text, password string, client Client) error {
	problems := errs.Fields{}
	if u.Policy.check(problems, password, "", ""); len(problems) > 0 { // before anything is counted
		return problems.Err()
	}
	code, user, asked, err := u.present(ctx, text, client, SetsPassword)
	if err != nil {
		return err
	}
	if u.Policy.check(problems, password, user.Username, user.Email); len(problems) > 0 {
		return problems.Err()
	}
	hash, err := u.Passwords.Hash(ctx, password, widest(client.IPAddress), UserTarget(user.ID))
	if err != nil {
		return asked.unlooked(ctx, err)
	}
	_, err = u.Codes.UseCode(ctx, code, u.Now(), func(now *User) (outcome Outcome, err error) {
		if now.DisabledAt != nil || u.Outbox.boundPassword(*now) != code.Bound {
			return outcome, errNoCode()
		}
		at := Stamp(u.Now())
		now.PasswordHash, now.UpdatedAt = hash, Later(at, now.UpdatedAt)
		outcome.EndOthers = true
		outcome.Events = []Event{client.event(at, now.ID, PasswordReset, UserTarget(now.ID))}
		if now.EmailProvedAt == nil {
			now.EmailProvedAt = &at
			outcome.EndPasskeys = func(id string) Event {
				return client.event(at, now.ID, PasskeyRemoved, passkeyTarget(id))
			}
		}
		outcome.Mail = []Mail{u.Outbox.Notice(MailPasswordSet, *now, now.Email, client)}
		return outcome, nil
	})
	Afterwards(ctx, u.Outbox.Wake)
	if err != nil {
		return u.refuseCode(ctx, err, client)
	}
	asked.succeeded(context.WithoutCancel(ctx))
	return nil
}
