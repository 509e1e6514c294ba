//! Who changed what, as a chain that shows every later change of itself.
//!
//! An entry is written in the transaction of the change that it records: there is no change without
//! an entry, and no entry of a change that was rolled back. Each entry's hash covers its number, time,
//! actor, action and detail, and the hash of the entry before. `audit_head` holds the end: who
//! appends locks that row first, so concurrent writers make one chain, in the order of their locks,
//! and an entry taken off the end is missed.
//!
//! `verify` finds entries that were changed, removed or inserted. What a chain without a secret
//! cannot show is that somebody who may write to the table made all of it anew: for that, keep the
//! number and hash that `fiber-engine audit verify` prints elsewhere, and give them to the next one.
//!
//! No secret is in a detail. A name that was typed at a failed sign-in is written only if somebody has
//! it: people type their password into the wrong field.

mod chain;
mod entry;
mod verify;

pub(crate) use chain::begin;
pub use entry::{Action, Actor, Detail};
pub use verify::{Expected, Fault, Verified, verify};
