//! The whole system: the engine as it ships, TimescaleDB, Redis and Chromium, all real.
//!
//! One module per promise. Tests share one PostgreSQL, each in a database of its own, unless they
//! stop or kill it. They judge behaviour, never speed: every wait has a bound that only says when
//! to stop hoping.

mod support;

mod answers;
mod auth;
mod bad_input;
mod batch_ids;
mod behind_nginx;
mod canary;
mod charts;
mod check;
mod compressed;
mod drain;
mod drills;
mod duplicates;
mod export;
mod failpoints;
mod federation;
mod gates;
mod generator;
mod hostile;
mod ingest;
mod kept_buckets;
mod ledger;
mod limits;
mod outage;
mod page;
mod page_access;
mod page_audit;
mod page_nginx;
mod page_nodes;
mod page_records;
mod page_states;
mod people;
mod probe;
mod quarantine;
mod query;
mod recovery;
mod refusals;
mod retention;
mod rollup;
mod signed;
mod slow;
mod soak;
mod summary;
mod writers;
