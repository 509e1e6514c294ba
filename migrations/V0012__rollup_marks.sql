-- When a minute of the rollups was written last, told by a number that nobody had before. A reader that
-- keeps buckets asks for these numbers first, and reads again only what has another one. Each
-- writer has rows of its own, so that two engines never wait for each other here.
-- The number is random and not a count: after a crash that lost commits, a count would come to the
-- same value again with other samples behind it.

CREATE TABLE IF NOT EXISTS rollup_marks (
    bucket     timestamptz NOT NULL,
    journal_id uuid NOT NULL,
    stamp      int8 NOT NULL,
    PRIMARY KEY (bucket, journal_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
