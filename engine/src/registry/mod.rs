//! What operators say about nodes: adding one before its first sample, correcting what it says of
//! itself, and taking it out of the fleet.
//!
//! - An operator's word wins. A field that was set here is *pinned*: what the node reports about it is
//!   not taken any more, neither into the table nor into the live state, until the operator gives it
//!   back with `null`. Then the value stays until the node says another.
//! - Deleting **retires**: the node leaves the live state and the lists at once, and its samples, series,
//!   rollups and accounts stay as long as their retention, because they were acknowledged and are
//!   counted. Windows of the past still show it. A sample taken after that moment brings the node
//!   back by itself: revoke its key first, if it is to stay away. So does adding it again.
//! - Each change is in the audit log, in the same transaction. The engine that makes it shows it with
//!   the next tick; others ask the table every ten seconds.

mod error;
mod rules;
mod store;

pub use error::Error;
pub(crate) use store::{Edit, Registry, edited_since};
