-- What was not taken, by reason. One row per hour, run of an engine and reason, written with
-- absolute values by that run alone: writing it again changes nothing, and a restart starts a new row.
CREATE TABLE IF NOT EXISTS refusals_hourly (
    hour     timestamptz NOT NULL,
    -- The engine's name and the start of its run: 'name@microseconds'.
    instance text NOT NULL,
    -- An error code of the contract, or the field at fault of single samples.
    reason   text NOT NULL,
    requests int8 NOT NULL DEFAULT 0,
    samples  int8 NOT NULL DEFAULT 0,
    PRIMARY KEY (hour, instance, reason)
);
