-- The hot table. No foreign key, no GIN index, no NUMERIC: each costs more than the row itself.
-- One index, which is both the uniqueness of a sample and the way to one node's raw rows.
-- A hypertable where TimescaleDB is there (either edition), native daily partitions where it is not.

DO $$
DECLARE
    hypertable bool := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
    columns text := '(
        "time"      timestamptz NOT NULL,
        series_key  int8 NOT NULL,
        node_key    int8 NOT NULL,
        latency_ms  float4,
        uptime_pct  float4,
        packet_loss float4,
        metadata    jsonb
    )';
BEGIN
    IF to_regclass('metrics') IS NULL THEN
        IF hypertable THEN
            EXECUTE 'CREATE TABLE metrics ' || columns;
            PERFORM create_hypertable('metrics', 'time',
                chunk_time_interval => interval '1 day', create_default_indexes => false);
        ELSE
            EXECUTE 'CREATE TABLE metrics ' || columns || ' PARTITION BY RANGE ("time")';
        END IF;
        CREATE UNIQUE INDEX metrics_series_time ON metrics (series_key, "time");
    END IF;
END $$;

-- Makes the daily partitions of a span, where partitions are ours to make. The engine calls it at
-- start and every hour for the span it accepts; it returns how many were made.
CREATE OR REPLACE FUNCTION fiber_ensure_partitions(span_from timestamptz, span_to timestamptz)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    day date := (span_from AT TIME ZONE 'UTC')::date;
    made int := 0;
    name text;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'metrics'::regclass) <> 'p' THEN
        RETURN 0;
    END IF;
    WHILE day <= (span_to AT TIME ZONE 'UTC')::date LOOP
        name := 'metrics_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF metrics FOR VALUES FROM (%L) TO (%L)',
                name, day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
            made := made + 1;
        END IF;
        day := day + 1;
    END LOOP;
    RETURN made;
END $$;

-- Drops raw data older than the instant: whole chunks or partitions, never rows.
CREATE OR REPLACE FUNCTION fiber_drop_raw_before(cutoff timestamptz)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    dropped int := 0;
    part record;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'metrics'::regclass) <> 'p' THEN
        EXECUTE 'SELECT count(*) FROM drop_chunks(''metrics'', older_than => $1)'
            INTO dropped USING cutoff;
        RETURN dropped;
    END IF;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'metrics'::regclass
          AND c.relname ~ '^metrics_[0-9]{8}$'
          AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <= cutoff
    LOOP
        EXECUTE format('DROP TABLE %I', part.relname);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
