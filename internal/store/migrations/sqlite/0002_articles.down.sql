-- Loses all articles, comments, favourites, tags, and who follows whom.
drop table follows;
drop table comments;
drop table favorites;
drop table tags;
drop table article_tags;
drop table article_slugs;
drop table article_totals;
drop table articles;
alter table users drop column articles_count;
alter table users drop column favorites_count;
