package blog

import (
	"context"
	"time"
	"unicode/utf8"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// Profile is what everybody may see of a person.
type Profile struct {
	Username  string
	Bio       *string
	Image     *string
	Following bool      // whether the reader follows this person; false for anonymous readers
	ChangedAt time.Time // when their account was last changed; only beside what they wrote
}

// ownProfile returns how callers see themselves: nobody follows themselves.
func ownProfile(user identity.User) Profile {
	return Profile{Username: user.Username, Bio: user.Bio, Image: user.Image}
}

// listed returns the person as lists show them. The store has the same in SQL.
func (p Profile) listed() Profile {
	if p.Bio != nil && utf8.RuneCountInString(*p.Bio) > ListBio {
		cut := string([]rune(*p.Bio)[:ListBio-1]) + "…"
		p.Bio = &cut
	}
	if p.Image != nil && len(*p.Image) > identity.MaxImage {
		p.Image = nil
	}
	return p
}

// ProfileStore keeps who follows whom.
type ProfileStore interface {
	// ProfileByUsername returns the person with this name, as the reader sees them; reader 0 is anonymous.
	// NotFound("profile") if there is nobody.
	ProfileByUsername(ctx context.Context, username identity.Folded, reader int64) (Profile, error)
	// SetFollowing has the user of a session follow that person, or ends that, and returns them as the user sees them
	// then; NotFound("profile"), or SessionOver if the session has ended. It is no error if nothing changes.
	SetFollowing(
		ctx context.Context, session identity.Session, username identity.Folded, following bool,
	) (Profile, error)
}

// Profiles shows people to each other.
type Profiles struct {
	Store ProfileStore
}

// Profile returns the person with this name as the caller sees them.
func (p *Profiles) Profile(ctx context.Context, caller identity.Caller, username string) (Profile, error) {
	return p.Store.ProfileByUsername(ctx, identity.Fold(username), caller.User.ID)
}

// Follow has the caller follow a person. Doing it twice changes nothing; nobody can follow themselves.
func (p *Profiles) Follow(ctx context.Context, caller identity.Caller, username string) (Profile, error) {
	if identity.Fold(username) == identity.Fold(caller.User.Username) {
		return Profile{}, errs.Invalid("profile", "cannot be followed by its own user")
	}
	return p.Store.SetFollowing(ctx, caller.Session, identity.Fold(username), true)
}

// Unfollow ends that. It changes nothing if the caller did not follow.
func (p *Profiles) Unfollow(ctx context.Context, caller identity.Caller, username string) (Profile, error) {
	return p.Store.SetFollowing(ctx, caller.Session, identity.Fold(username), false)
}
