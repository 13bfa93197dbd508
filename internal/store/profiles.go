package store

import (
	"context"
	"fmt"
	"time"

	"conduit/internal/blog"
	"conduit/internal/errs"
	"conduit/internal/identity"
)

// profileColumns has the fields of blog.Profile in their order.
type profileColumns struct {
	Username  string
	Bio       *string
	Image     *string
	Following bool
	ChangedAt time.Time
}

// These columns are read of authors: all that is shown of them, what lists show, and what an outline needs. The
// database shortens long texts itself, so that they are not carried around.
const (
	wholeAuthor    = "u.username, u.bio, u.image, u.updated_at as changed_at"
	outlinedAuthor = "u.updated_at as changed_at"
)

var listedAuthor = fmt.Sprintf(`u.username, u.updated_at as changed_at,
		case when length(u.bio) > %[1]d then substr(u.bio, 1, %[1]d - 1) || '…' else u.bio end as bio,
		case when octet_length(u.image) <= %[2]d then u.image end as image`, blog.ListBio, identity.MaxImage)

// followingExpr is whether the reader follows the user that the query calls u. It needs followingJoin, whose argument
// is the reader. A join it is, since PostgreSQL would turn "exists" into a list of all whom the reader follows.
const (
	followingJoin = "left join follows as f on f.follower_id = ? and f.followee_id = u.id"
	followingExpr = "f.followee_id is not null as following"
)

// ProfileByUsername implements [blog.ProfileStore].
func (s *Store) ProfileByUsername(ctx context.Context, username identity.Folded, reader int64) (blog.Profile, error) {
	var row profileColumns
	err := s.ask(ctx, s.reads.NewSelect().TableExpr("users as u").ColumnExpr("u.username, u.bio, u.image").
		ColumnExpr(followingExpr).Join(followingJoin, reader).Where("u.username_key = ?", username), &row)
	return blog.Profile(row), missing(err, "profile")
}

// SetFollowing implements [blog.ProfileStore].
func (s *Store) SetFollowing(
	ctx context.Context, session identity.Session, username identity.Folded, following bool,
) error {
	query := `
delete from follows
 where follower_id = ? and followee_id = (select id from users where username_key = ?) and ` + sessionThere
	if following {
		query = `
insert into follows (follower_id, followee_id)
select ?, id from users where username_key = ? and ` + sessionThere + " on conflict do nothing"
	}
	err := s.bySession(ctx, session.ID, query, session.UserID, username, session.ID)
	if violatesForeignKey(err) { // deleted since they were found
		return errs.NotFound("profile")
	}
	return err
}
