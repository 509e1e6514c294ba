//! The hot path of HTTP: `POST /api/push` and `POST /api/ingest`, on the ingest cores.
//!
//! One listener per core on one port (SO_REUSEPORT). A connection is served here as long as its
//! requests are pushes; the first request that is anything else takes the connection, with the
//! bytes already read, to the query side for the rest of its life.
//!
//! Strict HTTP/1.1 of our own framing: every byte of a head is judged before it means anything,
//! and whatever could be read two ways is refused and the connection closed, because a proxy in
//! front may have read it the other way. `http1` and `chunked` are pure, and tested at every split.
//!
//! After any timeout of a read the connection is answered, if that is possible, and closed: the
//! runtime may have lost bytes of the cancelled read.

mod chunked;
mod connection;
#[cfg(test)]
mod fuzz;
mod http1;
mod listener;
mod respond;

pub(crate) use chunked::Decoder;
pub(crate) use http1::{Framing, METHODS, head_length, parse, told_trace_id};
pub use listener::{Core, serve};
