-- A nonce names what a request has made. A request whose answer was lost is repeated, and finds by it what it has made
-- already, also while the first try is still under way. Rows of earlier versions have none.
alter table articles add column nonce uuid;
alter table comments add column nonce uuid;
create unique index articles_nonce on articles (nonce) where nonce is not null;
create unique index comments_nonce on comments (nonce) where nonce is not null;
