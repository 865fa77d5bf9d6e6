-- What the scan of an object was for: entity -> fields, each by where it is read. `scanned` is what a complete one brought in, `scanning`
-- what the one under way will. A field or entity that was mapped later is missing there, and the object is read again.
alter table truespoke.cursor add column scanned jsonb, add column scanning jsonb;
