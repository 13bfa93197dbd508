-- Loses nothing: the view shows what the table of tags has.

drop view tag_sums;
