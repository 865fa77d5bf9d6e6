-- What is asked for about a record: the reconciler leaves alone whatever inbound is about to read, a page of records at a time.
create index inbox_open on truespoke.inbox (spoke, external_id) where done_at is null;
