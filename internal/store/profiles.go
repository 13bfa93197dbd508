package store

import (
	"context"
	"fmt"

	"conduit/internal/blog"
	"conduit/internal/identity"
)

// These columns are read of authors: what an outline needs, and besides that all that is shown of them, or what lists
// show. The database shortens long texts itself, so that they are not carried around.
var (
	listedAuthor = fmt.Sprintf(`u.username,
       case when length(u.bio) > %[1]d then substr(u.bio, 1, %[1]d - 1) || '…' else u.bio end,
       case when octet_length(u.image) <= %[2]d then u.image end`, blog.ListBio, identity.MaxImage)
)

const outlinedAuthor = "u.updated_at"

const wholeAuthor = "u.username, u.bio, u.image"

// followingExpr is whether the reader follows the user that the query calls u. It needs followingJoin, whose argument
// is the reader. A join it is, since PostgreSQL would turn "exists" into a list of all whom the reader follows.
const (
	followingJoin = "left join follows as f on f.follower_id = ? and f.followee_id = u.id"
	followingExpr = "f.followee_id is not null"
)

// ProfileByUsername implements [blog.ProfileStore].
func (s *Store) ProfileByUsername(ctx context.Context, username identity.Folded, reader int64) (blog.Profile, error) {
	var profile blog.Profile
	query := asSQL("select "+wholeAuthor+", "+followingExpr+" from users as u "+followingJoin+
		" where u.username_key = ?", reader, string(username))
	err := s.read(ctx, query, row(&profile.Username, &profile.Bio, &profile.Image, &profile.Following))
	return profile, missing(err, "profile")
}

// SetFollowing implements [blog.ProfileStore].
func (s *Store) SetFollowing(
	ctx context.Context, session identity.Session, username identity.Folded, following bool,
) (profile blog.Profile, err error) {
	change := `
delete from follows
 where follower_id = ? and followee_id = (select id from users where username_key = ?) and ` + sessionThere
	if following {
		change = `
insert into follows (follower_id, followee_id)
select ?, id from users where username_key = ? and ` + sessionThere + " on conflict do nothing"
	}
	var here, there bool
	err = s.together(ctx,
		does(change, session.UserID, string(username), session.ID),
		statement{
			asSQL("select here.here, u.id is not null, "+wholeAuthor+", "+followingExpr+
				"\n  from (select "+sessionThere+
				" as here) as here\n  left join users as u on u.username_key = ? "+followingJoin,
				session.ID, string(username), session.UserID),
			func(rows found) error {
				return eachRow(rows, []any{&here, &there},
					[]any{&profile.Username, &profile.Bio, &profile.Image, &profile.Following}, func() {})
			},
		})
	return profile, refusing(err, here, there, "profile")
}
