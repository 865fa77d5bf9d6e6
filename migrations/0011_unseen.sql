-- Fields that a spoke did not show when it was last looked at though they were asked for, as where our user may no longer read them
-- (F78): nothing is written to them unseen, and what they show when they come back is merged.
alter table truespoke.link add column unseen jsonb;
