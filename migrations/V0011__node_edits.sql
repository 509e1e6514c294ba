-- What operators say about nodes.

ALTER TABLE nodes
    -- Names of columns that hold an operator's word; what the node says of them is not taken.
    ADD COLUMN IF NOT EXISTS pinned text[] NOT NULL DEFAULT '{}',
    -- Taken out of the fleet by an operator, until a newer sample comes. Its samples stay.
    ADD COLUMN IF NOT EXISTS retired_at timestamptz,
    -- When an operator changed it last, so that every engine notices.
    ADD COLUMN IF NOT EXISTS edited_at timestamptz,
    -- A node that was registered before its first sample has been seen by nobody.
    ALTER COLUMN first_seen DROP NOT NULL,
    ALTER COLUMN last_seen DROP NOT NULL;

CREATE INDEX IF NOT EXISTS nodes_edited ON nodes (edited_at) WHERE edited_at IS NOT NULL;
