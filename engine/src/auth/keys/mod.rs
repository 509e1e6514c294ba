//! Keys of single probes: a key pushes for its own node and no other.
//!
//! A key is a text signed with API_KEY_SECRET that names its id, node and expiry. Any engine checks
//! it without asking anybody, also while the database is away. What the text cannot tell is whether
//! it was revoked: `revoked` keeps those ids in memory and on disk. The key itself is stored nowhere.

mod error;
mod revoked;
mod store;
mod token;

pub use error::Error;
pub use revoked::{Revoked, watch};
pub use store::KeyStore;
pub use token::{KeySecrets, ProbeKey};
