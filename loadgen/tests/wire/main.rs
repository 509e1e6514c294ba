//! The fleet's side over real sockets: loopback servers that obey, stall, lie and hang up.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test's helpers are tests too"
)]

mod client;
mod generator;
mod hostile;
mod probe;
mod probe_process;
mod requests;
mod tls;
