-- What other secrets are derived from, once it is another than the key-encryption key: sealed under that, as signing keys are.

create table sealed_secrets (
    name   text primary key check (name = 'root'),
    sealed blob not null
);
