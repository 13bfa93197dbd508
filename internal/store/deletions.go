package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// An account that has much is deleted in two steps. One short transaction does what must be exact at once: it ends the
// sessions, reserves the name, records the event, and leaves a row of the user that nobody can use or find. Batches
// then remove what the user had. Each is a transaction of its own that leaves all sums right, so lists and their totals
// agree at every moment; what is still there has an author without a name.
//
// A batch waits for nobody who works on articles, and for anybody else only [batchPatience]: it holds locks while it
// waits. It touches sums in the order of all others, see lockSums.

const (
	// mostAtOnce is how many rows go with an account in one transaction. It takes a few hundredths of a second.
	mostAtOnce = 500
	// batchPatience is how long a batch waits for a lock before it gives up, and its own locks with that.
	batchPatience = 50 * time.Millisecond
	// rowsOfArticle is how many rows go with an article that has no comments and favourites, as a rule.
	rowsOfArticle = 8
)

// namelessKey begins the key of an account that is deleted. It has what no folded name has, a capital, so no name leads
// there. It is the look of the name too: other characters look like a slash, so names of earlier times with those could
// have that of the name itself.
const namelessKey = "Deleted "

// errBusy says that somebody holds what a batch needs.
var errBusy = errors.New("store: somebody else holds a lock")

// stages are what goes with an account, in this order. Followers come first, for they are whom articles reach.
var stages = []struct {
	name   string
	remove func(*batch) (int, error)
}{
	{"follows", (*batch).follows},
	{"favorites", (*batch).favorites},
	{"comments", (*batch).comments},
	{"articles", (*batch).articles},
	{"account", (*batch).account},
}

// ofUser is the part of a query that finds a table's rows with a user in this column, which is argument 0. The order,
// and a range instead of the user alone, leave PostgreSQL one index to read them from. Else, with a limit, it may take
// reading the whole table for cheaper, not knowing that much of that is removed already.
func ofUser(table, column string) string {
	return fmt.Sprintf("from %s where %s between ?0 and ?0 order by %[2]s", table, column)
}

// isLarge reports whether more rows go with a user than one transaction should remove. It counts no part further than
// needed.
func isLarge(ctx context.Context, tx bun.Tx, userID int64) (bool, error) {
	own := "from (select id " + ofUser("articles", "author_id") + " limit ?1) as own join "
	var parts []string
	for _, part := range append(slices.Clone(ofAccount), own+"comments as its on its.article_id = own.id",
		own+"favorites as its on its.article_id = own.id", own+"article_tags as its on its.article_id = own.id",
		own+"article_slugs as its on its.article_id = own.id") {
		parts = append(parts, "select 1 from (select 1 "+part+" limit ?1) as part")
	}
	var rows int
	err := tx.NewRaw("select count(*) from ("+strings.Join(parts, " union all ")+") as parts", userID, mostAtOnce+1).
		Scan(ctx, &rows)
	return rows > mostAtOnce, err
}

// ofAccount are the parts of queries that find what an account has.
var ofAccount = []string{
	ofUser("follows", "followee_id"), ofUser("follows", "follower_id"), ofUser("favorites", "user_id"),
	ofUser("comments", "author_id"), ofUser("articles", "author_id"),
}

// beginDeletion makes a user one that nobody can use or find, and has batches remove the rest. It returns the name that
// the user had.
func (s *Store) beginDeletion(ctx context.Context, tx bun.Tx, by identity.Session, now time.Time) (string, error) {
	var former userRow
	query := tx.NewSelect().Model(&former).Where("id = ?", by.UserID)
	// Whole, so that it waits for all who are writing as this user.
	if err := s.dialect.locking(query, "update").Scan(ctx); err != nil {
		return "", gone(err, by)
	}
	// These are statements of their own, behind the lock, as in UpdateUser.
	if err := s.stillHeld(ctx, tx, by); err != nil {
		return "", err
	}
	key := fmt.Sprint(namelessKey, former.ID)
	if _, err := tx.NewRaw(`
update users
   set username = ?, username_key = ?, username_look = ?, email = ?, email_key = ?, password_hash = '',
       bio = null, image = null, role = ?, disabled_at = ?, updated_at = ?, second_factor_at = null,
       email_proved_at = null
 where id = ?`, identity.NamelessUser, key, key, key, key, identity.RoleUser, now,
		identity.Later(now, former.UpdatedAt), former.ID).Exec(ctx); err != nil {
		return "", err
	}
	if _, err := tx.NewDelete().Model((*sessionRow)(nil)).Where("user_id = ?", former.ID).Exec(ctx); err != nil {
		return "", err
	}
	for _, table := range []string{
		"authenticator_apps", "recovery_codes", "login_challenges", "passkeys", "passkey_handles", "codes", "mails",
	} {
		if _, err := tx.NewDelete().Table(table).Where("user_id = ?", former.ID).Exec(ctx); err != nil {
			return "", err
		}
	}
	// As migration 0029 does for those who go at once.
	if _, err := tx.NewRaw(`
update user_events set kind = 'begin', user_id = 0, session_id = null, ip_address = null, user_agent = null
 where user_id = ? and kind = 'login'`, former.ID).Exec(ctx); err != nil {
		return "", err
	}
	_, err := tx.NewRaw("insert into deletions (user_id, began_at) values (?, ?)", former.ID, now).Exec(ctx)
	return former.Username, err
}

// stillHeld returns SessionOver if the session that asks for something of its own has ended, and for others NotFound if
// the account is being removed.
func (s *Store) stillHeld(ctx context.Context, tx bun.Tx, by identity.Session) error {
	if by.Own() {
		return stillThere(ctx, tx, by.ID)
	}
	going, err := tx.NewSelect().Table("deletions").Where("user_id = ?", by.UserID).Exists(ctx)
	if err == nil && going {
		return errs.NotFound("user")
	}
	return err
}

// notDeleted is the condition that a user is not one of whom only content is left.
const notDeleted = "id not in (select user_id from deletions)"

// Deleting implements [identity.UserStore].
func (s *Store) Deleting(ctx context.Context, userID int64) (bool, error) {
	var going bool
	err := s.ask(ctx, s.reads.NewRaw("select exists (select 1 from deletions where user_id = ?)", userID), &going)
	return going, err
}

// RemoveBatch implements [identity.UserStore].
func (s *Store) RemoveBatch(ctx context.Context, after int64, limit int) (identity.Removal, error) {
	const next = "select user_id, stage from deletions where user_id > ? order by user_id limit 1"
	b := batch{store: s, limit: limit}
	// Mostly there is nothing to do, and no reason to write.
	var first int64
	err := s.ask(ctx, s.reads.NewRaw(next, after), &first, &b.stage)
	if errors.Is(err, sql.ErrNoRows) {
		return identity.Removal{}, nil
	}
	if err != nil {
		return identity.Removal{}, err
	}
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		b.Removal, b.tx, b.ctx, b.began = identity.Removal{UserID: first}, tx, ctx, time.Now()
		if err := s.dialect.exclude(ctx, tx, besidesOthers); err != nil {
			return err
		}
		err := tx.NewRaw(next+s.dialect.locks("update skip locked"), after).Scan(ctx, &b.UserID, &b.stage)
		if err == nil {
			err = b.run()
		}
		b.Worked = time.Since(b.began)
		if errors.Is(err, sql.ErrNoRows) {
			return errBusy
		}
		if postgresCode(err) == "55P03" { // this is not for inTx, which would take it for a broken connection
			return errBusy
		}
		return err
	})
	b.Held = time.Since(b.began)
	if err != nil {
		b.Rows, b.Done = 0, false
	}
	if errors.Is(err, errBusy) {
		err = nil
	}
	return b.Removal, err
}

// besidesOthers has a batch give up soon, and PostgreSQL compile nothing for it: that takes longer than a batch should.
var besidesOthers = fmt.Sprintf("set local lock_timeout = %d; set local jit = off", batchPatience.Milliseconds())

// batch is the part of a deletion that one transaction does.
type batch struct {
	identity.Removal
	store *Store
	ctx   context.Context //nolint:containedctx // of the transaction
	tx    bun.Tx
	began time.Time
	stage string
	limit int
}

// run removes something at the first stage that has something left.
func (b *batch) run() error {
	stage := 0
	for i := range stages {
		if stages[i].name == b.stage {
			stage = i
		}
	}
	was := stage
	for ; stage < len(stages); stage++ {
		var err error
		if b.Rows, err = stages[stage].remove(b); err != nil {
			return err
		}
		if b.Rows > 0 {
			break
		}
	}
	if b.Done {
		return nil
	}
	// Somebody may have held what a stage would have removed, or a request of the user was still under way then.
	if stage == len(stages) {
		stage = 0
	}
	if stage == was {
		return nil
	}
	_, err := b.tx.NewRaw("update deletions set stage = ? where user_id = ?", stages[stage].name, b.UserID).Exec(b.ctx)
	return err
}

// exec runs a statement and returns how many rows it changed.
func (b *batch) exec(text string, args ...any) (int, error) {
	result, err := b.tx.NewRaw(text, args...).Exec(b.ctx)
	if err != nil {
		return 0, err
	}
	rows, err := result.RowsAffected()
	return int(rows), err
}

func (b *batch) follows() (int, error) {
	of := func(column string, limit int) (int, error) {
		return b.exec("delete from follows where (follower_id, followee_id) in (select follower_id, followee_id "+
			ofUser("follows", column)+" limit ?1"+b.store.dialect.locks("update skip locked")+")", b.UserID, limit)
	}
	followers, err := of("followee_id", b.limit)
	if err != nil || followers == b.limit {
		return followers, err
	}
	followees, err := of("follower_id", b.limit-followers)
	return followers + followees, err
}

// favorites removes favourites of the user, but of articles that somebody else is changing.
func (b *batch) favorites() (int, error) {
	var articles []int64
	if err := b.tx.NewRaw("select id from articles where id in (select article_id "+ofUser("favorites", "user_id")+
		", article_id limit ?1) order by id"+b.store.dialect.locks("no key update skip locked"), b.UserID, b.limit).
		Scan(b.ctx, &articles); err != nil || len(articles) == 0 {
		return 0, err
	}
	return b.exec("delete from favorites where user_id = ? and article_id in (?)", b.UserID, bun.List(articles))
}

func (b *batch) comments() (int, error) {
	return b.exec("delete from comments where id in (select id "+ofUser("comments", "author_id")+" limit ?1"+
		b.store.dialect.locks("update skip locked")+")", b.UserID, b.limit)
}

// articles removes articles, the newest first, but what others have added to them before. An article keeps the slug
// that lists show as long as it is there.
func (b *batch) articles() (rows int, err error) {
	var ids []int64
	if err := b.tx.NewRaw("select id "+ofUser("articles", "author_id")+", created_at desc, id desc limit ?1"+
		b.store.dialect.locks("update skip locked"), b.UserID, max(1, b.limit/rowsOfArticle)).
		Scan(b.ctx, &ids); err != nil || len(ids) == 0 {
		return 0, err
	}
	articles := bun.List(ids)
	for _, remove := range []func(limit int) (int, error){
		func(limit int) (int, error) {
			return b.exec(`
delete from comments
 where id in (select comments.id from articles join comments on comments.article_id = articles.id
               where articles.id in (?) limit ?)`, articles, limit)
		},
		func(limit int) (int, error) {
			return b.exec(`
delete from article_slugs
 where slug in (select article_slugs.slug
                  from articles join article_slugs on article_slugs.article_id = articles.id
                 where articles.id in (?) and article_slugs.slug <> articles.slug
                 limit ?)`, articles, limit)
		},
		func(limit int) (int, error) { return b.favorers(ids, limit) },
	} {
		removed, err := remove(b.limit - rows)
		if rows += removed; err != nil || rows >= b.limit {
			return rows, err
		}
	}
	slugs, err := b.exec("delete from article_slugs where article_id in (?)", articles)
	if err != nil {
		return rows, err
	}
	// In one go, for whoever publishes waits behind these locks.
	last := "delete from article_tags where article_id in (?0); delete from articles where id in (?0)"
	if b.store.dialect.postgres {
		last = `
select from article_totals where shard in (select id % 16 from articles where id in (?0)) order by shard
   for no key update;
` + last
	}
	removed, err := b.exec(last, articles)
	return rows + slugs + removed, err
}

// favorers removes articles from the favourites of others. It locks all users whose sums change, then or later in the
// batch.
func (b *batch) favorers(articles []int64, limit int) (int, error) {
	type pair struct{ UserID, ArticleID int64 }
	var pairs []pair
	if err := b.tx.NewRaw(`
select favorites.user_id, favorites.article_id from articles join favorites on favorites.article_id = articles.id
 where articles.id in (?) limit ?`, bun.List(articles), limit).Scan(b.ctx, &pairs); err != nil {
		return 0, err
	}
	if b.store.dialect.postgres {
		users := append(each(pairs, func(p pair) int64 { return p.UserID }), b.UserID)
		if _, err := b.exec("select from users where id in (?) order by id for no key update",
			bun.List(users)); err != nil {
			return 0, err
		}
	}
	if len(pairs) == 0 {
		return 0, nil
	}
	return b.exec("with pairs (user_id, article_id) as (?) "+
		"delete from favorites where (user_id, article_id) in (select user_id, article_id from pairs)",
		b.tx.NewValues(&pairs))
}

// account removes the user, if nothing else is left of them.
func (b *batch) account() (int, error) {
	// Nobody can refer to the user behind this lock.
	if b.store.dialect.postgres {
		if _, err := b.exec("select from users where id = ? for update", b.UserID); err != nil {
			return 0, err
		}
	}
	nothing := "delete from users where id = ?0"
	for _, some := range ofAccount {
		nothing += " and not exists (select 1 from (select 1 " + some + " limit 1) as some_of_it)"
	}
	removed, err := b.exec(nothing, b.UserID)
	b.Done = removed > 0
	return removed, err
}
