//! FiberStack's engine: takes samples over HTTP, makes each durable before it answers, writes it to
//! TimescaleDB exactly once, and shows what became of it.
//!
//! The modules are the path of a sample, in order:
//!
//! ```text
//! accept ▶ parse ▶ admit ▶ journal ──fdatasync──▶ 202          N pinned cores, monoio
//!                             │ sealed groups (batch)
//!                             ▼
//!                           copy ──committed──▶ publish         tokio
//!                                                  │
//!            query ◀── live state, TimescaleDB ◀───┘
//! ```

pub mod app;
pub mod config;
pub(crate) mod failpoint;
mod heap;
pub mod limits;
mod planted;
pub mod shutdown;

pub mod cores;
pub mod model;

pub mod accept;
pub mod parse;

pub mod admit;
pub mod audit;
pub mod auth;

pub mod journal;

pub mod batch;

pub mod schema;

pub mod copy;

pub mod publish;

pub mod registry;

pub mod query;

pub mod coordination;

pub mod admin;
pub mod check;
pub mod telemetry;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
