-- Loses by what requests that are repeated find what they have made.

drop index comments_nonce;
drop index articles_nonce;
alter table comments drop column nonce;
alter table articles drop column nonce;
