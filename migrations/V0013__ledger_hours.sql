-- A day of the account is asked for by its hours; the primary key begins with the node.
CREATE INDEX IF NOT EXISTS ledger_hourly_hour ON ledger_hourly (hour);
