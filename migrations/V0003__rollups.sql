-- One row per series and bucket. Written with absolute values by the engine that owns the series,
-- in the transaction that writes the raw rows. `rev` counts the writes of a row: an engine that
-- would overwrite a row it has not seen finds the count changed and starts over.
-- Means are *_sum / count; percentiles are read from `sketch` (DDSketch, 1 %), and only for SQL
-- readers of a single bucket from the p columns.

DO $$
DECLARE
    level text;
BEGIN
    FOREACH level IN ARRAY ARRAY['rollup_1m', 'rollup_1h', 'rollup_1d'] LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I (
            series_key    int8 NOT NULL,
            bucket        timestamptz NOT NULL,
            node_key      int8 NOT NULL,
            rev           int4 NOT NULL DEFAULT 1,
            count         int8 NOT NULL,
            -- Samples with a latency: those that lost every packet have none.
            latency_count int8 NOT NULL,
            latency_sum   float8 NOT NULL,
            latency_min   float4,
            latency_max   float4,
            loss_sum      float8 NOT NULL,
            uptime_sum    float8 NOT NULL,
            p50           float4,
            p95           float4,
            p99           float4,
            sketch        bytea,
            PRIMARY KEY (series_key, bucket)
        ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)', level);
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %I USING brin (bucket) WITH (pages_per_range = 32)',
            level || '_bucket', level);
    END LOOP;
END $$;
