package store

import (
	"context"

	"conduit/internal/conduit"
)

// profileColumns has the fields of conduit.Profile in their order.
type profileColumns struct {
	Username  string
	Bio       *string
	Image     *string
	Following bool
}

// What reads of people join, to know whether the reader, the argument, follows the user that the query calls u. It is a
// join, for PostgreSQL turns "exists" into a list of all that the reader follows.
const (
	followingJoin = "left join follows as f on f.follower_id = ? and f.followee_id = u.id"
	followingExpr = "f.followee_id is not null as following"
)

// ProfileByUsername implements [conduit.ProfileStore].
func (s *Store) ProfileByUsername(ctx context.Context, username string, reader int64) (conduit.Profile, error) {
	var row profileColumns
	err := s.retry(ctx, func(ctx context.Context) error {
		return s.reads.NewSelect().TableExpr("users as u").
			ColumnExpr("u.username, u.bio, u.image").ColumnExpr(followingExpr).Join(followingJoin, reader).
			Where("u.username_key = ?", conduit.Key(username)).Scan(ctx, &row)
	})
	return conduit.Profile(row), missing(err, "profile")
}

// SetFollowing implements [conduit.ProfileStore].
func (s *Store) SetFollowing(ctx context.Context, follower int64, username string, following bool) error {
	query := "delete from follows where follower_id = ? and followee_id = (select id from users where username_key = ?)"
	if following {
		query = `insert into follows (follower_id, followee_id)
			select ?, id from users where username_key = ? on conflict do nothing`
	}
	err := s.retry(ctx, func(ctx context.Context) error {
		_, err := s.writes.ExecContext(ctx, query, follower, conduit.Key(username))
		return err
	})
	if violatesForeignKey(err) { // deleted since they were found
		return conduit.NotFound("profile")
	}
	return err
}
