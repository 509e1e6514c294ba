//! The ingest cores: one pinned thread, one monoio runtime and one listener each.

mod pin;
mod runtime;

pub use runtime::{Chosen, Cores, StartError, choose, start};
