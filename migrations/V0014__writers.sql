-- Several writers of one journal, each with nodes of its own.

-- Of the 64 slots that all nodes fall into, those that the transaction wrote, a bit each. What was
-- written before this column is of all of them.
ALTER TABLE commit_ledger ADD COLUMN IF NOT EXISTS slots int8 NOT NULL DEFAULT -1;
ALTER TABLE commit_ledger DROP CONSTRAINT IF EXISTS commit_ledger_pkey;
ALTER TABLE commit_ledger ADD PRIMARY KEY (journal_id, first_seq, slots);

-- Two writers mark the same minute, and must not wait for each other.
ALTER TABLE rollup_marks ADD COLUMN IF NOT EXISTS writer int2 NOT NULL DEFAULT 0;
ALTER TABLE rollup_marks DROP CONSTRAINT IF EXISTS rollup_marks_pkey;
ALTER TABLE rollup_marks ADD PRIMARY KEY (bucket, journal_id, writer);

-- Makes the chunks of a span, where there are chunks, in a transaction of its own: the one that makes a
-- chunk keeps all others that want it waiting until it ends. There is no public way to make an empty
-- chunk but to store a row and take it away again; nobody ever sees that row. It returns how many were made.
CREATE OR REPLACE FUNCTION fiber_ensure_chunks(span_from timestamptz, span_to timestamptz)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz := span_from;
    chunk_end timestamptz;
    made int := 0;
BEGIN
    -- Two questions, because the second one cannot even be asked where the extension is not.
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RETURN 0;
    END IF;
    IF NOT EXISTS (SELECT FROM timescaledb_information.hypertables
                   WHERE hypertable_schema = current_schema() AND hypertable_name = 'metrics') THEN
        RETURN 0;
    END IF;
    WHILE at <= span_to LOOP
        SELECT range_end INTO chunk_end FROM timescaledb_information.chunks
        WHERE hypertable_schema = current_schema() AND hypertable_name = 'metrics'
          AND range_start <= at AND at < range_end;
        IF NOT FOUND THEN
            INSERT INTO metrics ("time", series_key, node_key) VALUES (at, 0, 0);
            DELETE FROM metrics WHERE series_key = 0 AND "time" = at;
            made := made + 1;
            SELECT range_end INTO STRICT chunk_end FROM timescaledb_information.chunks
            WHERE hypertable_schema = current_schema() AND hypertable_name = 'metrics'
              AND range_start <= at AND at < range_end;
        END IF;
        at := chunk_end;
    END LOOP;
    RETURN made;
END $$;
