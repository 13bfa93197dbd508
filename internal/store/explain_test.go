package store_test

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"conduit/internal/blog"
	"conduit/internal/events"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// statementLog keeps the statements that PostgreSQL was sent.
type statementLog struct {
	mutex      sync.Mutex
	statements []statement
}

type statement struct {
	text   string
	values []any
}

func (l *statementLog) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var values []any
	for _, value := range data.Args {
		switch value.(type) {
		case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID: // how to ask, no values
		default:
			values = append(values, value)
		}
	}
	l.statements = append(l.statements, statement{data.SQL, values})
	return ctx
}

func (l *statementLog) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (l *statementLog) take() []statement {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	taken := l.statements
	l.statements = nil
	return taken
}

// manyArticles fills a database: 50 users who write much, others who wrote once, 30,000 articles of which user 1 wrote
// few, 1,000 tags, favourites, follows.
const manyArticles = `
insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at)
	select 'user' || n, 'user' || n, n || '@x', n || '@x', '', now(), now() from generate_series(1, 50) as n;
insert into articles (slug, title, description, body, tag_list, author_id, created_at, updated_at)
	select 'slug' || n, 't', 'd', repeat('body ', 200), '[]', 1 + n % 50,
	       timestamptz '2026-01-01' + n * interval '1 second', now()
	  from generate_series(1, 30000) as n;
insert into article_slugs select slug, id from articles;
insert into article_tags select id, 'tag' || id % 1000, created_at from articles;
insert into favorites select 1 + id % 7, id, created_at from articles where id % 3 = 0;
insert into comments (article_id, author_id, body, created_at, updated_at)
select 1 + n % 3000, 1 + n % 50, 'c', now(), now() from generate_series(1, 10000) as n;
insert into comments (article_id, author_id, body, created_at, updated_at)
select 5, 1 + n % 50, 'c', now(), now() from generate_series(1, 10000) as n;
update articles set author_id = 2 where id % 4 = 0;
insert into follows select 1, n from generate_series(2, 6) as n;
insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at)
	select 'idle' || n, 'idle' || n, 'i' || n, 'i' || n, '', now(), now() from generate_series(1, 300) as n;
insert into follows select 50, id from users where id <> 50;
insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at)
	select 'quiet' || n, 'quiet' || n, 'q' || n, 'q' || n, '', now(), now() from generate_series(1, 10000) as n;
insert into articles (slug, title, description, body, tag_list, author_id, created_at, updated_at)
	select 'old' || id, 't', 'd', 'b', '[]', id, timestamptz '2025-01-01', now()
	  from users where username like 'quiet%' and id % 5 = 0;
insert into passkey_handles select id, decode(md5(id::text), 'hex') from users;
insert into passkeys (id, user_id, credential_id, public_key, sign_count, backup_eligible, backed_up, transports,
                      aaguid, name, created_at)
	select id || 'x' || n, id, decode(md5(id || 'x' || n), 'hex'), '', 0, false, false, '', '', 'n', now()
	  from users, generate_series(1, 20) as n where username like 'idle%';
insert into user_events (kind, user_id, happened_at, article_id)
	select 'article', author_id, created_at, id from articles;
insert into user_events (kind, user_id, happened_at, article_id, comment_id)
	select 'comment', articles.author_id, comments.created_at, article_id, comments.id
	  from comments join articles on articles.id = article_id;`

// TestPagesUseIndexes runs the store's own statements over many articles and asks PostgreSQL how it went about them: no
// page may read a table from end to end, or more rows than a page needs.
func TestPagesUseIndexes(t *testing.T) {
	t.Parallel()
	log := &statementLog{}
	url := storetest.Postgres(t)
	db := storetest.Open(t, url, store.Options{Tracer: log, Timeout: time.Minute})
	ctx := t.Context()
	conn := storetest.Connect(t, url)
	for _, statement := range []string{manyArticles, "vacuum analyze"} {
		exec(t, conn, statement)
	}
	everybody, err := db.UserByEmail(ctx, "50@x")
	must(t, err)
	idle, err := db.UserByEmail(ctx, "i7")
	must(t, err)
	const deep, empty = true, "an empty page"
	list := func(filter blog.ArticleFilter, far bool) func() error {
		page := blog.Page{Limit: 20}
		if far {
			page.After = &blog.Position{CreatedAt: time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC), ID: 3600}
		}
		return func() error {
			got, err := db.ListArticles(ctx, filter, page, 1)
			if err == nil && len(got.Articles) == 0 {
				err = errors.New(empty)
			}
			return err
		}
	}
	comments := func(slug string, after int64) func() error {
		return func() error {
			got, err := db.Comments(ctx, slug, blog.CommentFilter{Limit: 20, After: after}, 1)
			if err == nil && len(got.Comments) == 0 {
				err = errors.New(empty)
			}
			return err
		}
	}
	article := func(detail blog.Detail) func() error {
		return func() error { _, err := db.ArticleBySlug(ctx, "slug77", 1, detail); return err }
	}
	passkeys := func() error {
		_, has, err := db.Passkeys(ctx, idle.ID)
		if err == nil && len(has) != identity.MostPasskeys {
			err = errors.New(empty)
		}
		return err
	}
	passkey := func() error {
		credential := md5.Sum(fmt.Appendf(nil, "%dx7", idle.ID))
		_, _, _, err := db.PasskeyOwner(ctx, credential[:])
		return err
	}
	last, _, err := db.NewEvents(ctx, events.Position{}, 1)
	must(t, err)
	middle := last[0].Position
	middle.ID /= 2
	newEvents := func() error {
		found, _, err := db.NewEvents(ctx, middle, 20)
		if err == nil && len(found) != 20 {
			err = errors.New(empty)
		}
		return err
	}
	type by = blog.ArticleFilter
	for name, test := range map[string]struct {
		run   func() error
		index string
		most  float64 // rows that any one step may handle
	}{
		"first page":          {list(by{}, !deep), "articles_newest", 50},
		"cursor":              {list(by{}, deep), "articles_newest", 50},
		"by tag":              {list(by{Tag: "tag7"}, !deep), "article_tags_tag_newest", 50},
		"by author":           {list(by{Author: "user3"}, !deep), "articles_author_id_newest", 50},
		"by author, cursor":   {list(by{Author: "user3"}, deep), "articles_author_id_newest", 50},
		"by favourite":        {list(by{FavoritedBy: "user3"}, !deep), "favorites_user_id_newest", 50},
		"by favourite, deep":  {list(by{FavoritedBy: "user3"}, deep), "favorites_user_id_newest", 50},
		"feed of 5":           {list(by{FollowedBy: 1}, !deep), "articles_author_id_newest", 110},
		"feed of 5, cursor":   {list(by{FollowedBy: 1}, deep), "articles_author_id_newest", 110},
		"article":             {article(blog.Whole), "article_slugs_pkey", 1},
		"article, outline":    {article(blog.Outline), "article_slugs_pkey", 1},
		"comments":            {comments("slug77", 0), "comments_article_id", 50},
		"many comments":       {comments("slug5", 0), "comments_article_id", 50},
		"many comments, deep": {comments("slug5", 15_000), "comments_article_id", 50},
		"tags":                {func() error { _, err := db.Tags(ctx, 300, 200); return err }, "tags_most_used", 600},
		"profile":             {func() error { _, err := db.ProfileByUsername(ctx, "user7", 1); return err }, "", 50},
		"passkeys":            {passkeys, "passkeys_user_id_created_at", 20},
		"owner of a passkey":  {passkey, "passkeys_credential_id", 1},
		"new events":          {newEvents, "user_events_order", 50},
		// These read all that one person wrote, all that one person favours, and all whom one person follows.
		"by tag and author":   {list(by{Tag: "tag7", Author: "user8"}, !deep), "", 600},
		"by tag and favorite": {list(by{Tag: "tag6", FavoritedBy: "user1"}, !deep), "", 1500},
		"feed of 349":         {list(by{FollowedBy: everybody.ID}, !deep), "articles_newest", 400},
	} {
		t.Run(name, func(t *testing.T) {
			log.take()
			must(t, test.run())
			statements := log.take()
			for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
				t.Run(mode, func(t *testing.T) {
					var plans strings.Builder
					for _, statement := range statements {
						text := statement.explain(t, conn, mode)
						var explained []struct{ Plan plan }
						must(t, json.Unmarshal([]byte(text), &explained))
						explained[0].Plan.check(t, test.most)
						plans.WriteString(text)
					}
					if !strings.Contains(plans.String(), test.index) {
						t.Errorf("not by %s: %s", test.index, plans.String())
					}
				})
			}
		})
	}
}

// explain runs a statement as a prepared one and returns, as JSON, how. PostgreSQL plans it for its values or, as it
// does after some runs, for any.
func (s statement) explain(t *testing.T, conn *pgx.Conn, mode string) (text string) {
	t.Helper()
	exec(t, conn, "set plan_cache_mode = "+mode)
	exec(t, conn, "prepare one as "+s.text)
	defer exec(t, conn, "deallocate one")
	values := ""
	for n := range s.values {
		values += fmt.Sprintf(", $%d", n+1)
	}
	if values != "" {
		values = "(" + values[len(", "):] + ")"
	}
	// By the simple protocol, which writes the values into the text: execute takes no parameters.
	if err := conn.QueryRow(t.Context(), "explain (analyze, timing off, format json) execute one"+values,
		append([]any{pgx.QueryExecModeSimpleProtocol}, s.values...)...).Scan(&text); err != nil {
		t.Fatal(err, s)
	}
	return text
}

// plan is a step of what PostgreSQL did.
type plan struct {
	NodeType string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Plans    []plan
}

// small are tables that PostgreSQL rightly reads whole: here they have at most a few pages.
var small = map[string]bool{
	"follows": true, "article_totals": true, "tags": true, "tag_changes": true, "deletions": true,
}

func (p plan) check(t *testing.T, most float64) {
	t.Helper()
	if p.NodeType == "Seq Scan" && !small[p.Relation] {
		t.Errorf("reads all of %s", p.Relation)
	}
	if rows := (p.Rows + p.Removed) * p.Loops; rows > most && !small[p.Relation] && p.NodeType != "Memoize" &&
		p.NodeType != "Materialize" {
		t.Errorf("%s on %q handles %v rows, want at most %v", p.NodeType, p.Relation, rows, most)
	}
	for _, below := range p.Plans {
		below.check(t, most)
	}
}
