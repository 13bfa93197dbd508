package store_test

import (
	"errors"
	"testing"
	"time"

	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// addFactors gives a user an app, two recovery codes, an enrolment under way and a challenge.
func addFactors(t testing.TB, db *store.Store, by identity.Session) {
	t.Helper()
	must(t, db.ChangeFactors(t.Context(), by, "", func(f *identity.Factors) (identity.Outcome, error) {
		f.App = &identity.App{Sealed: []byte{1, 0, 2}, AddedAt: at, LastStep: 7}
		f.Recovery = [][]byte{{1}, {2}}
		f.Enrolment = &identity.Enrolment{Sealed: []byte{3}, ExpiresAt: at.Add(time.Minute)}
		f.User.SecondFactorAt = &at
		return identity.Outcome{}, nil
	}))
	must(t, db.AddChallenge(t.Context(), challengeOf(by.UserID)))
}

func challengeOf(userID int64) identity.Challenge {
	return identity.Challenge{
		ID: "C1", UserID: userID, Hash: []byte{4}, Binding: []byte{5}, CreatedAt: at, ExpiresAt: at.Add(time.Minute),
	}
}

// leftOfFactors is how many rows there are of second factors.
func leftOfFactors(t testing.TB, db *store.Store) int {
	t.Helper()
	return count(t, db, "select (select count(*) from authenticator_apps) + (select count(*) from recovery_codes) + "+
		"(select count(*) from app_enrolments) + (select count(*) from login_challenges)")
}

func TestFactorsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		by := identity.Session{ID: "S1", UserID: user.ID}
		addFactors(t, db, by)
		user.SecondFactorAt = &at
		challenge, asked, err := db.Challenge(ctx, "C1")
		must(t, err)
		wantSame(t, "challenge", challengeOf(user.ID), challenge)
		wantSame(t, "its user", user, asked)
		_, _, err = db.Challenge(ctx, "C2")
		wantNotFound(t, err)

		want := identity.Factors{
			App:      &identity.App{Sealed: []byte{1, 0, 2}, AddedAt: at, LastStep: 7},
			Recovery: [][]byte{{1}, {2}},
		}
		got, err := db.Factors(ctx, user.ID)
		must(t, err)
		wantSame(t, "Factors", want, got)
		want.User, want.Enrolment = user, &identity.Enrolment{Sealed: []byte{3}, ExpiresAt: at.Add(time.Minute)}
		refusal := errors.New("no")
		for name, by := range map[string]identity.Session{
			"a session": by, "an operator": identity.ByOperator(user.ID), "a login": identity.ByLogin(user.ID),
		} {
			err := db.ChangeFactors(ctx, by, "C1", func(f *identity.Factors) (identity.Outcome, error) {
				want := want
				if name == "a session" {
					want.Session = newSession("S1")
					want.Session.UserID = user.ID
				} else {
					want.Enrolment = nil
				}
				f.Enrolment, want.Enrolment = utc(f.Enrolment), utc(want.Enrolment)
				wantSame(t, name, want, *f)
				f.App, f.Recovery, f.User.SecondFactorAt = nil, nil, nil
				return identity.Outcome{EndOthers: true}, refusal
			})
			if !errors.Is(err, refusal) {
				t.Errorf("%s: %v", name, err)
			}
		}
		wantSame(t, "rows after what was refused", 5, leftOfFactors(t, db))
	})
}

// utc is an enrolment with its time in UTC.
func utc(enrolment *identity.Enrolment) *identity.Enrolment {
	if enrolment == nil {
		return nil
	}
	return &identity.Enrolment{Sealed: enrolment.Sealed, ExpiresAt: enrolment.ExpiresAt.UTC()}
}

// TestWhoMayChangeFactors: a session that has ended, a challenge that is gone and a user who is gone change nothing.
func TestWhoMayChangeFactors(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		addFactors(t, db, identity.Session{ID: "S1", UserID: user.ID})
		change := func(by identity.Session, challenge string) error {
			return db.ChangeFactors(ctx, by, challenge, func(f *identity.Factors) (identity.Outcome, error) {
				f.Recovery = nil
				return identity.Outcome{}, nil
			})
		}
		for _, test := range []struct {
			by        identity.Session
			challenge string
			want      errs.Kind
		}{
			{identity.Session{ID: "S2", UserID: user.ID}, "", errs.KindUnauthenticated},
			{identity.Session{ID: "S1", UserID: user.ID + 1}, "", errs.KindUnauthenticated},
			{identity.ByLogin(user.ID), "C2", errs.KindNotFound},
			{identity.ByLogin(user.ID + 1), "C1", errs.KindNotFound},
			{identity.ByOperator(user.ID + 1), "", errs.KindNotFound},
		} {
			if err := change(test.by, test.challenge); !errs.Is(err, test.want) {
				t.Errorf("%+v with %s: %v", test.by, test.challenge, err)
			}
		}
		wantSame(t, "rows", 5, leftOfFactors(t, db))
		must(t, change(identity.ByLogin(user.ID), "C1"))
		wantSame(t, "rows after the challenge", 2, leftOfFactors(t, db))
	})
}

// TestUsedStepsDoNotComeBack: a step that is not later than the one that is stored changes nothing, whoever decided so.
func TestUsedStepsDoNotComeBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		user := jake(t, db)
		addFactors(t, db, identity.Session{ID: "S1", UserID: user.ID})
		for _, test := range []struct {
			step int64
			used bool
		}{{6, true}, {7, true}, {8, false}, {8, true}, {9, false}} {
			err := db.ChangeFactors(t.Context(), identity.ByLogin(user.ID), "",
				func(f *identity.Factors) (identity.Outcome, error) {
					f.App = &identity.App{Sealed: f.App.Sealed, AddedAt: f.App.AddedAt, LastStep: test.step}
					return identity.Outcome{}, nil
				})
			if errs.Is(err, errs.KindInvalid) != test.used || err != nil && !test.used {
				t.Errorf("step %d: %v", test.step, err)
			}
		}
		wantSame(t, "the last step", 9, count(t, db, "select last_step from authenticator_apps"))
	})
}

// TestFactorsGoWithTheAccount, also if that is too large to go at once; and what is over is swept.
func TestFactorsGoWithTheAccount(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]property{"small": {comments: 1}, "large": much} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.Store) {
				user := jake(t, db)
				addFactors(t, db, identity.Session{ID: "S1", UserID: user.ID})
				give(t, db, user.ID, content)
				must(t, leave(db, user, "S1"))
				wantSame(t, "rows", 0, leftOfFactors(t, db))
				wantSame(t, "users with a second factor", 0,
					count(t, db, "select count(*) from users where second_factor_at is not null"))
			})
		})
	}
}

func TestSweepFactors(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		user := jake(t, db)
		addFactors(t, db, identity.Session{ID: "S1", UserID: user.ID})
		for _, test := range []struct {
			now     time.Time
			removed int
		}{{at.Add(time.Minute - time.Millisecond), 0}, {at.Add(time.Minute), 1}, {at.Add(time.Minute), 0}} {
			removed, err := db.SweepFactors(t.Context(), test.now, 10)
			must(t, err)
			wantSame(t, "removed", test.removed, removed)
		}
		wantSame(t, "rows", 3, leftOfFactors(t, db))
	})
}
