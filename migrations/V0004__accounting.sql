-- What happened to every sample.

-- Which groups of which journal are in the tables. A row is written by the transaction that copies
-- the group's samples, so replay after a crash skips exactly what is there.
CREATE TABLE IF NOT EXISTS commit_ledger (
    journal_id   uuid NOT NULL,
    first_seq    int8 NOT NULL,
    last_seq     int8 NOT NULL,
    stored       int8 NOT NULL,
    duplicate    int8 NOT NULL,
    quarantined  int8 NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (journal_id, first_seq)
);

-- The receipt of a batch that came with an id of its own.
CREATE TABLE IF NOT EXISTS batches (
    batch_id      uuid PRIMARY KEY,
    body_hash     bytea NOT NULL,
    source_region text,
    received_at   timestamptz NOT NULL,
    committed_at  timestamptz NOT NULL DEFAULT now(),
    journal_id    uuid NOT NULL,
    group_seq     int8 NOT NULL,
    accepted      int4 NOT NULL,
    rejected      int4 NOT NULL,
    trace_id      text
);
CREATE INDEX IF NOT EXISTS batches_received ON batches USING brin (received_at);

-- Rows the database refused, and rows whose key collides with another name's.
CREATE TABLE IF NOT EXISTS quarantine (
    id         int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    journal_id uuid NOT NULL,
    group_seq  int8 NOT NULL,
    sqlstate   text,
    reason     text NOT NULL,
    node_id    text,
    "time"     timestamptz,
    -- The tuple in binary COPY format, so that it can be replayed.
    tuple      bytea NOT NULL
);

-- A sample that came twice with different values: the first is kept in metrics, the other here.
CREATE TABLE IF NOT EXISTS duplicate_conflicts (
    id          int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    series_key  int8 NOT NULL,
    "time"      timestamptz NOT NULL,
    latency_ms  float4,
    uptime_pct  float4,
    packet_loss float4
);

-- The identity per node and hour: received = stored + duplicate + quarantined (+ in flight).
CREATE TABLE IF NOT EXISTS ledger_hourly (
    node_key    int8 NOT NULL,
    hour        timestamptz NOT NULL,
    received    int8 NOT NULL DEFAULT 0,
    stored      int8 NOT NULL DEFAULT 0,
    duplicate   int8 NOT NULL DEFAULT 0,
    quarantined int8 NOT NULL DEFAULT 0,
    PRIMARY KEY (node_key, hour)
);

-- Each entry carries the SHA-256 of the one before, so a removed or changed entry shows.
CREATE TABLE IF NOT EXISTS audit_log (
    id     int8 PRIMARY KEY,
    at     timestamptz NOT NULL,
    actor  text NOT NULL,
    action text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    prev   bytea NOT NULL,
    hash   bytea NOT NULL
);
