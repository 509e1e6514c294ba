-- Keys of single probes. A key is a signed text and proves itself; only its id is here, so nobody can
-- push with what is in the database. The row of a revoked key must stay: it is what revokes it.

CREATE TABLE IF NOT EXISTS probe_keys (
    key_id     uuid PRIMARY KEY,
    node_id    text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- NULL: never.
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE INDEX IF NOT EXISTS probe_keys_node ON probe_keys (node_id);
CREATE INDEX IF NOT EXISTS probe_keys_revoked ON probe_keys (revoked_at) WHERE revoked_at IS NOT NULL;
