package identity

import (
	"context"
	"net/mail"

	"conduit/internal/errs"
)

// Verification says whether emails have to be proven.
type Verification string

// The ways. Only the last keeps strangers from finding out who has an account.
const (
	VerificationOff      Verification = "off"      // nobody is asked to
	VerificationOptional Verification = "optional" // everybody is asked to, and may leave it
	VerificationRequired Verification = "required" // an email counts only when it is proven
)

// pending is a registration of which nothing is recorded but this, sealed, until its email is proven.
type pending struct {
	Username     string `json:"username"`
	Email        string `json:"email"`
	PasswordHash string `json:"passwordHash"`
}

// verify returns the message that asks a user to prove an email: the one they have, or, if it is another, the one that
// is to take its place. The session is that of the user who asks for another.
func (o *Outbox) verify(user User, email, sessionID string, client Client) Mail {
	says := content{To: email, Code: o.newCode(), Was: user.Email}
	if email != user.Email {
		says.SessionID = sessionID
	}
	return o.write(MailVerify, user.ID, client, codeWaits, says)
}

// decideVerify decides about such a message when it is about to be handed over. Whether somebody else has the email
// shows there, and not while anybody waits for an answer.
func (o *Outbox) decideVerify(says content, user, owner User) (Letter, Handing) {
	changes := says.To != says.Was
	if user.ID == 0 || user.DisabledAt != nil || user.Email != says.Was || !changes && user.EmailProvedAt != nil {
		return Letter{}, Handing{Drop: true}
	}
	code := o.code(says.Code, ProvesEmail, UserTarget(user.ID), says.To)
	code.UserID, code.Bound, code.SessionID = &user.ID, o.boundEmail(user), says.SessionID
	if owner.ID != 0 && owner.ID != user.ID {
		// The code is recorded, and nobody gets it. If it ended no older code, that would tell who has an account.
		return Letter{Kind: MailTaken, To: owner.Email}, Handing{Code: code}
	}
	return o.withCode(Letter{Kind: MailVerify, To: says.To}, "verify", says.Code), Handing{Code: code}
}

// decideRegister decides about the message that asks somebody to complete a registration. A registration ends no other,
// since anybody can begin one with any email.
func (o *Outbox) decideRegister(says content, owner User) (Letter, Handing) {
	code := o.code(says.Code, CompletesRegistration, "", says.Registration)
	code.Subject = code.ID
	if owner.ID != 0 { // nobody gets the code; by it a message that comes again knows whether its code was used
		return Letter{Kind: MailTaken, To: owner.Email}, Handing{Code: code}
	}
	return o.withCode(Letter{Kind: MailRegister, To: says.To}, "register", says.Code), Handing{Code: code}
}

func (o *Outbox) withCode(letter Letter, action, code string) Letter {
	letter.Code, letter.Link, letter.Minutes = code, o.Link(action, code), int(codeGood.Minutes())
	return letter
}

// await answers a registration where emails have to be proven. It does the same for every email: nobody looks whether
// it has an account before the message is sent.
func (u *Users) await(ctx context.Context, user User, client Client) error {
	if err := u.Codes.NameFree(ctx, user); err != nil {
		return err
	}
	err := u.Outbox.Store.AddMail(ctx, u.Outbox.write(MailRegister, 0, client, codeWaits, content{
		To: user.Email, Code: u.Outbox.newCode(), Registration: &pending{user.Username, user.Email, user.PasswordHash},
	}))
	Afterwards(ctx, u.Outbox.Wake)
	return err
}

// RequestVerification has a code sent to the caller's email, unless it is proven.
func (u *Users) RequestVerification(ctx context.Context, caller Caller, client Client) error {
	if _, err := u.countChange(ctx, caller, caller.User.Email, client); err != nil {
		return err
	}
	_, err := u.Store.UpdateUser(ctx, caller.Session, func(user *User) (outcome Outcome, err error) {
		outcome.Mail = []Mail{u.Outbox.verify(*user, user.Email, "", client)}
		return outcome, nil
	})
	Afterwards(ctx, u.Outbox.Wake)
	return err
}

// ConfirmEmail does what the code of a message is good for that went to an email: it proves the email, puts it in place
// of the one before, or completes a registration. That takes the password too, for somebody else may have begun it.
func (u *Users) ConfirmEmail(ctx context.Context, text, password string, client Client) error {
	code, user, asked, err := u.present(ctx, text, client, ProvesEmail, CompletesRegistration)
	if err != nil {
		return err
	}
	if code.Purpose == CompletesRegistration {
		err = u.completeRegistration(ctx, code, password, client)
	} else {
		err = u.proveEmail(ctx, code, user, client)
	}
	if err != nil {
		return u.refuseCode(ctx, err, client)
	}
	asked.succeeded(context.WithoutCancel(ctx))
	return nil
}

func (u *Users) proveEmail(ctx context.Context, code Code, user User, client Client) error {
	var email string
	if err := u.Outbox.open(code, &email); err != nil {
		return err
	}
	_, err := u.Codes.UseCode(ctx, code, u.Now(), func(now *User) (outcome Outcome, err error) {
		if now.DisabledAt != nil || u.Outbox.boundEmail(*now) != code.Bound {
			return outcome, errNoCode()
		}
		at := Stamp(u.Now())
		outcome.Events = []Event{client.event(at, user.ID, EmailProved, UserTarget(user.ID))}
		if email != now.Email {
			outcome.EndOthers = true
			outcome.Events = append(outcome.Events, client.event(at, user.ID, EmailChanged, UserTarget(user.ID)))
			outcome.Mail = []Mail{u.Outbox.Notice(MailEmailChanged, *now, now.Email, client)}
			now.UpdatedAt = Later(at, now.UpdatedAt)
		}
		now.Email, now.EmailProvedAt = email, &at
		return outcome, nil
	})
	Afterwards(ctx, u.Outbox.Wake)
	return err
}

func (u *Users) completeRegistration(ctx context.Context, code Code, password string, client Client) error {
	if password == "" {
		return errs.Invalid("password", errs.Blank)
	}
	var chosen pending
	if err := u.Outbox.open(code, &chosen); err != nil {
		return err
	}
	if err := u.Codes.SpendTry(context.WithoutCancel(ctx), code, codeTries); err != nil {
		return err
	}
	network, account := widest(client.IPAddress), u.Throttle.account(chosen.Email)
	match, _, err := u.Passwords.Verify(ctx, chosen.PasswordHash, password, "strangers", network, account)
	if err != nil {
		return err
	}
	if !match {
		return errs.Invalid("password", "is not right")
	}
	now := Stamp(u.Now())
	_, err = u.Codes.UseRegistration(ctx, code, now, User{
		Username: chosen.Username, Email: chosen.Email, PasswordHash: chosen.PasswordHash, CreatedAt: now,
		UpdatedAt: now, Role: RoleUser, EmailProvedAt: &now,
	}, func(id int64) (Outcome, error) {
		return Outcome{Events: []Event{client.event(now, id, Registered, UserTarget(id))}}, nil
	})
	return err
}

// checkReachable adds what is wrong with an email to which mail is to go. One that means another email than it says, or
// several, could be anybody's.
func (u *Users) checkReachable(problems errs.Fields, email string) {
	if u.Verification == VerificationOff || u.Verification == "" || len(problems["email"]) > 0 {
		return
	}
	if parsed, err := mail.ParseAddress("<" + email + ">"); err != nil || parsed.Address != email {
		problems.Add("email", "is not a valid email")
	}
}

// changeEmail gives a user another email, or, where it has to be proven, asks for that.
func (u *Users) changeEmail(user *User, email, sessionID string, outcome *Outcome, client Client) (happened Action) {
	if u.Verification == VerificationRequired {
		outcome.Mail = append(outcome.Mail, u.Outbox.verify(*user, email, sessionID, client))
		return EmailChangeRequested
	}
	told := u.Outbox.Notice(MailEmailChanged, *user, user.Email, client)
	user.Email, user.EmailProvedAt = email, nil
	outcome.EndOthers = true
	if u.Verification == VerificationOptional {
		outcome.Mail = append(outcome.Mail, told, u.Outbox.verify(*user, email, "", client))
	}
	return EmailChanged
}
