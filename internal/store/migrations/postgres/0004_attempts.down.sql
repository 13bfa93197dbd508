-- Loses the counts of wrong passwords.
drop table attempts;
