CREATE TABLE IF NOT EXISTS incidents (
    id          int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    opened_at   timestamptz NOT NULL,
    resolved_at timestamptz,
    kind        text NOT NULL,
    severity    text NOT NULL,
    title       text NOT NULL,
    node_keys   int8[] NOT NULL DEFAULT '{}',
    acked_by    text,
    acked_at    timestamptz,
    detail      jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS incidents_open ON incidents (opened_at) WHERE resolved_at IS NULL;

CREATE TABLE IF NOT EXISTS alert_events (
    id          int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id int8 NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    kind        text NOT NULL,
    detail      jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS alert_events_incident ON alert_events (incident_id, at);

CREATE TABLE IF NOT EXISTS silences (
    id         int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    matcher    jsonb NOT NULL,
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    created_by text NOT NULL,
    reason     text NOT NULL DEFAULT ''
);
