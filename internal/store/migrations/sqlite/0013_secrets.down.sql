-- Loses, if the key-encryption key was replaced, what refresh tokens and throttling rest on: sessions with refresh tokens end.
drop table sealed_secrets;
