//! One file per address: reads state, calls the engine, lays out components.

pub(crate) mod compare;
pub(crate) mod keys;
pub(crate) mod lazy;
pub(crate) mod ledger;
pub(crate) mod missing;
pub(crate) mod node;
pub(crate) mod nodes;
pub(crate) mod overview;
pub(crate) mod regions;
pub(crate) mod sign_in;
pub(crate) mod system;
pub(crate) mod users;
