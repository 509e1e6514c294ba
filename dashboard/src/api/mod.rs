//! The engine's HTTP interface, seen from the browser. The types are `fiber_contract`'s.

pub(crate) mod access;
pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod federation;
pub(crate) mod json;
pub(crate) mod ledger;
pub(crate) mod live;
pub(crate) mod nodes;
mod read;
pub(crate) mod series;
pub(crate) mod status;
pub(crate) mod summary;
