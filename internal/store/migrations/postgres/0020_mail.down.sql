-- Loses the messages that are not sent yet, and the record of those that were.

drop table mails;
