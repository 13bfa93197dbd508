-- Loses nothing.

select 1;
