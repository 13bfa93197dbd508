-- Loses all articles, comments, favourites, tags, and who follows whom.
drop table follows, comments, favorites, tags, article_tags, article_slugs, article_totals, articles;
drop function count_articles, count_tags, count_favorites;
alter table users drop column articles_count;
alter table users drop column favorites_count;
