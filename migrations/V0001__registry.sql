-- Who measures what. Keys are 64-bit hashes of the names, computed alike by every engine.

CREATE TABLE IF NOT EXISTS nodes (
    node_key            int8 PRIMARY KEY,
    node_id             text NOT NULL UNIQUE,
    country             text NOT NULL,
    region              text NOT NULL,
    city                text,
    lat                 float8,
    lng                 float8,
    -- What an operator set by hand; NULL leaves the state to the samples.
    status              text,
    first_seen          timestamptz NOT NULL,
    last_seen           timestamptz NOT NULL,
    expected_interval_s float4,
    tags                text[] NOT NULL DEFAULT '{}'
);

CREATE TABLE IF NOT EXISTS series (
    series_key  int8 PRIMARY KEY,
    node_key    int8 NOT NULL,
    -- '' when the samples name no target.
    target_host text NOT NULL,
    probe_type  text NOT NULL,
    UNIQUE (node_key, target_host, probe_type)
);
