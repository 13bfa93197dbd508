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
