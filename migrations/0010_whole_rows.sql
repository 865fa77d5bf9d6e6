-- What a merge keeps of the record that went: the whole row, columns that no mapping names too; and what the survivor held before where a
-- policy combined both.
alter table truespoke.merge add column loser_whole jsonb, add column replaced jsonb not null default '{}';
