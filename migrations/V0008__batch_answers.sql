-- The first answer to a batch, so that a repeated request gets it again after a restart. NULL for
-- receipts from before this column.
ALTER TABLE batches ADD COLUMN IF NOT EXISTS answer jsonb;
