-- People who sign in to the dashboard, and what they changed.

CREATE TABLE IF NOT EXISTS users (
    user_id       uuid PRIMARY KEY,
    name          text NOT NULL UNIQUE,
    -- argon2id, in the PHC form.
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN ('VIEWER', 'OPERATOR', 'ADMIN')),
    disabled      bool NOT NULL DEFAULT false,
    -- Grows when what was signed before must not count any more.
    epoch         int8 NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz
);

-- One sign-in of one browser: the family of all refresh tokens that follow from it.
CREATE TABLE IF NOT EXISTS login_sessions (
    session_id uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Only tokens of this generation are good.
    generation int8 NOT NULL DEFAULT 1,
    rotated_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz,
    ended_why  text
);
CREATE INDEX IF NOT EXISTS login_sessions_user ON login_sessions (user_id);
CREATE INDEX IF NOT EXISTS login_sessions_expires ON login_sessions (expires_at);
CREATE INDEX IF NOT EXISTS login_sessions_ended ON login_sessions (ended_at) WHERE ended_at IS NOT NULL;

-- SHA-256 only. Used ones stay as long as their session, because one that comes again tells of a theft.
CREATE TABLE IF NOT EXISTS refresh_tokens (
    token_hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES login_sessions (session_id) ON DELETE CASCADE,
    generation int8 NOT NULL
);
CREATE INDEX IF NOT EXISTS refresh_tokens_session ON refresh_tokens (session_id, generation);

-- The end of the chain in audit_log. Whoever appends locks this row, so there is one chain; and an
-- entry that is taken off the end shows.
CREATE TABLE IF NOT EXISTS audit_head (
    one  bool PRIMARY KEY DEFAULT true CHECK (one),
    id   int8 NOT NULL,
    hash bytea NOT NULL
);
INSERT INTO audit_head (one, id, hash) VALUES (true, 0, decode(repeat('00', 32), 'hex'))
    ON CONFLICT DO NOTHING;
