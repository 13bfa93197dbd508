package identity

import (
	"cmp"
	"context"
	"fmt"

	"golang.org/x/text/unicode/norm"

	"conduit/internal/errs"
)

// UserChanges says what is to change. An empty Username or Email, or no Password, leaves that as it is.
type UserChanges struct {
	Username, Email string
	Password        *string // nil if it was not sent; forms send an empty one
	CurrentPassword string  // the one that the user has, if it was sent
	Bio, Image      Change[*string]
}

// Change leaves a value as it is (the zero Change), or sets it, perhaps to nothing.
type Change[T any] struct {
	Made bool
	To   T
}

// Update changes the caller's own account. A new password or email ends the caller's other sessions, so whoever else
// knew the old one is out (OWASP ASVS 5, 7.4.3). The presented session stays, and so does its token.
func (u *Users) Update(ctx context.Context, caller Caller, changes UserChanges, client Client) (Caller, error) {
	var password string
	if changes.Password != nil {
		password = *changes.Password
	}
	others := changes
	others.Password, others.CurrentPassword = nil, ""
	switch {
	case others != (UserChanges{}) || password != "":
	case changes.Password != nil:
		return Caller{}, errs.Invalid("password", errs.Blank)
	case changes.CurrentPassword == "":
		return caller, nil
	}
	username, email := norm.NFC.String(changes.Username), norm.NFC.String(changes.Email)
	problems := errs.Fields{}
	if username != "" {
		checkUsername(problems, username)
	}
	if email != "" {
		checkEmail(problems, email)
		u.checkReachable(problems, email)
	}
	if password != "" {
		// The policy compares with the new names if they change too.
		u.Policy.check(problems, password, cmp.Or(username, caller.User.Username), cmp.Or(email, caller.User.Email))
	}
	if changes.Image.To != nil && len(*changes.Image.To) > MaxImage {
		problems.Add("image", fmt.Sprintf("is too long (maximum is %d bytes)", MaxImage))
	}
	renamed, moved := username != "" && username != caller.User.Username, email != "" && email != caller.User.Email
	// What the caller had when the request began is no change, even if they have another one by now.
	if !renamed {
		username = ""
	}
	if !moved {
		email = ""
	}
	if u.RequireCurrentPassword && changes.CurrentPassword == "" && (moved || password != "") {
		problems.Add("currentPassword", errs.Blank)
	}
	if err := problems.Err(); err != nil {
		return Caller{}, err
	}
	if moved || password != "" {
		if err := u.Fresh(caller); err != nil {
			return Caller{}, err
		}
	}
	if changes.CurrentPassword != "" {
		if _, err := u.confirm(ctx, caller, "currentPassword", changes.CurrentPassword, client); err != nil {
			return Caller{}, err
		}
	}
	var asked counted
	if renamed || moved || password != "" {
		var mailTo string
		if u.Verification == VerificationRequired || u.Verification == VerificationOptional {
			mailTo = email
		}
		var err error
		if asked, err = u.countChange(ctx, caller, mailTo, client); err != nil {
			return Caller{}, err
		}
	}
	var hash string
	if password != "" {
		// Hashing comes before the transaction, since it takes tens of milliseconds and may queue. No row lock should
		// last that long.
		var err error
		hash, err = u.Passwords.Hash(ctx, password, widest(client.IPAddress), UserTarget(caller.User.ID))
		if err != nil {
			return Caller{}, asked.unlooked(ctx, err)
		}
	}
	// The session was there when the request began. While its body arrived, the person may have logged out everywhere,
	// and a session that is over must not take the account back. So the store looks again.
	user, err := u.Store.UpdateUser(ctx, caller.Session, func(user *User) (outcome Outcome, err error) {
		happened := func(action Action) {
			outcome.Events = append(outcome.Events, client.event(u.Now(), user.ID, action, UserTarget(user.ID)))
		}
		if username != "" {
			if Fold(username) != Fold(user.Username) {
				outcome.Reserve = Stamp(u.Now()).Add(reservation)
				happened(UsernameChanged) // not by another spelling of the same name
			}
			user.Username = username
		}
		if email != "" && email != user.Email {
			happened(u.changeEmail(user, email, caller.Session.ID, &outcome, client))
		}
		if hash != "" {
			user.PasswordHash = hash
			outcome.EndOthers = true
			happened(PasswordChanged)
		}
		if changes.Bio.Made {
			user.Bio = noneIfEmpty(changes.Bio.To)
		}
		if changes.Image.Made {
			user.Image = noneIfEmpty(changes.Image.To)
		}
		user.UpdatedAt = Later(u.Now(), user.UpdatedAt)
		return outcome, nil
	})
	if errs.Is(err, errs.KindTooMany) {
		target := UserTarget(caller.User.ID)
		return Caller{}, u.Throttle.refused(ctx, err, sighting{
			ChangeThrottled, client, caller.User.ID, "names " + target, named(target),
		})
	}
	if errs.Is(err, errs.KindTaken) {
		return Caller{}, u.Throttle.refused(ctx, err, sighting{
			action: ChangeRefused, client: client, by: caller.User.ID, target: named(UserTarget(caller.User.ID)),
		})
	}
	if err != nil {
		return Caller{}, err
	}
	asked.succeeded(context.WithoutCancel(ctx))
	Afterwards(ctx, u.Outbox.Wake)
	caller.User = user
	return caller, nil
}

// countChange counts an attempt of the caller to change something, or to have a message sent to an email.
func (u *Users) countChange(ctx context.Context, caller Caller, mailTo string, client Client) (counted, error) {
	asked, err := u.Throttle.change(context.WithoutCancel(ctx), caller.User.ID, mailTo, client)
	if errs.Is(err, errs.KindTooMany) {
		err = u.Throttle.refused(ctx, err, sighting{
			ChangeThrottled, client, caller.User.ID, asked.held.Key, named(UserTarget(caller.User.ID)),
		})
	}
	return asked, err
}

// MaxImage is how long the URL of a picture may be, in bytes: a small picture fits as a data URL.
const MaxImage = 2048

// noneIfEmpty returns nil for an empty text: RealWorld's bio and image are null or have content.
func noneIfEmpty(text *string) *string {
	if text == nil || *text == "" {
		return nil
	}
	return text
}
