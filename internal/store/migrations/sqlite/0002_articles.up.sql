-- Articles and what hangs on them: slugs, tags, favourites, comments; and who follows whom.
--
-- Lists are paged newest first, by (created_at, id). Each way to list has an index in that order, so that a page costs the
-- same however many articles there are. Totals are counted here by triggers and never by counting rows: they so hold
-- whatever way a row comes or goes, cascades included.

alter table users add column articles_count  integer not null default 0;  -- articles written
alter table users add column favorites_count integer not null default 0;  -- articles marked as favourite

create table articles (
    id              integer primary key autoincrement,
    slug            text not null,           -- the current one; article_slugs has the earlier ones too
    title           text not null,
    description     text not null,
    body            text not null,
    tag_list        text not null,           -- in the author's order, as answers show it; article_tags is for finding
    author_id       integer not null references users (id) on delete cascade,
    favorites_count integer not null default 0,
    created_at      timestamp not null,
    updated_at      timestamp not null
);

create index articles_newest           on articles (created_at desc, id desc);
create index articles_author_id_newest on articles (author_id, created_at desc, id desc);

-- Every slug that an article has or had: links stay good when a title changes, and nobody else can take them over.
create table article_slugs (
    slug       text primary key,
    article_id integer not null references articles (id) on delete cascade
);

create index article_slugs_article_id on article_slugs (article_id);

-- created_at is the article's, which never changes: it lets the index give a tag's articles newest first.
create table article_tags (
    article_id integer not null references articles (id) on delete cascade,
    tag        text not null,
    created_at timestamp not null,
    primary key (article_id, tag)
);

create index article_tags_tag_newest on article_tags (tag, created_at desc, article_id desc);

-- The tags in use, with how many articles have them.
create table tags (
    tag            text primary key,
    articles_count integer not null
);

create index tags_most_used on tags (articles_count desc, tag);

create table favorites (
    user_id    integer not null references users (id) on delete cascade,
    article_id integer not null references articles (id) on delete cascade,
    created_at timestamp not null,          -- the article's, as in article_tags
    primary key (user_id, article_id)
);

create index favorites_user_id_newest on favorites (user_id, created_at desc, article_id desc);
create index favorites_article_id     on favorites (article_id);

create table comments (
    id         integer primary key autoincrement,
    article_id integer not null references articles (id) on delete cascade,
    author_id  integer not null references users (id) on delete cascade,
    body       text not null,
    created_at timestamp not null,
    updated_at timestamp not null
);

create index comments_article_id on comments (article_id, id);
create index comments_author_id  on comments (author_id);

create table follows (
    follower_id integer not null references users (id) on delete cascade,
    followee_id integer not null references users (id) on delete cascade,
    primary key (follower_id, followee_id),
    check (follower_id <> followee_id)
);

create index follows_followee_id on follows (followee_id);

-- How many articles there are, in shards: people who publish at the same moment would wait for each other at one row.
create table article_totals (
    shard          integer primary key,
    articles_count integer not null default 0
);

with recursive shards (shard) as (values (0) union all select shard + 1 from shards where shard < 15)
insert into article_totals (shard) select shard from shards;

create trigger articles_counted_in after insert on articles begin
    update users set articles_count = articles_count + 1 where id = new.author_id;
    update article_totals set articles_count = articles_count + 1 where shard = new.id % 16;
end;

create trigger articles_counted_out after delete on articles begin
    update users set articles_count = articles_count - 1 where id = old.author_id;
    update article_totals set articles_count = articles_count - 1 where shard = old.id % 16;
end;

create trigger article_tags_counted_in after insert on article_tags begin
    insert into tags (tag, articles_count) values (new.tag, 1)
        on conflict (tag) do update set articles_count = tags.articles_count + 1;
end;

create trigger article_tags_counted_out after delete on article_tags begin
    update tags set articles_count = articles_count - 1 where tag = old.tag;
    delete from tags where tag = old.tag and articles_count = 0;
end;

create trigger favorites_counted_in after insert on favorites begin
    update articles set favorites_count = favorites_count + 1 where id = new.article_id;
    update users set favorites_count = favorites_count + 1 where id = new.user_id;
end;

create trigger favorites_counted_out after delete on favorites begin
    update articles set favorites_count = favorites_count - 1 where id = old.article_id;
    update users set favorites_count = favorites_count - 1 where id = old.user_id;
end;
