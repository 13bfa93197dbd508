-- SQLite has one writer at a time, who waits for nobody, so the counts of tags are all in one place.

create view tag_sums (tag, articles_count) as select tag, articles_count from tags;
