package identity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// fleeting is a store in which others have noted each key, and of which nothing is kept a moment later.
type fleeting struct{ identity.RetryStore }

func (fleeting) Kept(context.Context, []byte, time.Time) (identity.Kept, error) {
	return identity.Kept{}, errs.NotFound("answer")
}

func (fleeting) Unit(identity.Claim) identity.Unit { return taken{} }

// taken is the unit of a request whose key somebody else has noted.
type taken struct{ identity.Unit }

func (taken) Taken() bool { return true }
func (taken) Rollback()   {}

// TestKeyTakenAndGone: whoever gets no answer is told to try again. ErrKeyTaken would say that another request of this
// process answers.
func TestKeyTakenAndGone(t *testing.T) {
	t.Parallel()
	retries := identity.Retries{Store: fleeting{}, Now: time.Now}
	_, _, err := retries.Once(t.Context(), identity.Keyed{Key: "key"}, func(context.Context) identity.Answer {
		return identity.Answer{}
	})
	if !errs.Is(err, errs.KindUnavailable) || errors.Is(err, identity.ErrKeyTaken) {
		t.Errorf("error %v", err)
	}
}

// unread are tokens whose keys cannot be read.
type unread struct{ identity.Tokens }

func (unread) Verify(context.Context, string) (identity.Presented, error) {
	return identity.Presented{}, errs.Unavailable(errors.New("the keys cannot be read"))
}

// TestEndedCannotBeFoundOut: whether a token was ended by the request that comes again is not denied for want of keys.
func TestEndedCannotBeFoundOut(t *testing.T) {
	t.Parallel()
	retries := identity.Retries{Tokens: unread{}, Now: time.Now}
	if _, _, err := retries.OfEnded(t.Context(), "token", "key"); !errs.Is(err, errs.KindUnavailable) {
		t.Errorf("error %v", err)
	}
}
