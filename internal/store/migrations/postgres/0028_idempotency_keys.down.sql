-- Loses which requests were carried out: a client that sends one again has it carried out twice.

drop table idempotency_keys;
