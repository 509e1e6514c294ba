//! The ingest cores: one pinned thread, one monoio runtime and one listener each.

mod pin;
mod runtime;

pub use runtime::{Cores, Chosen, StartError, choose, start};
