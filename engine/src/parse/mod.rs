//! From a body to rows that are ready to be stored.
//!
//! A compressed body is made plain first, in short steps (`encoded`). A body is decoded once, into a tape that borrows from it, and walked once: each good sample
//! becomes a COPY tuple at once, each bad one a `SampleError` that names its field. Nothing here
//! waits, and nothing is kept from one body to the next but empty buffers.
//!
//! What it does not do: decide who may send (admit), or what was stored before (copy).

mod batch;
mod body;
mod encoded;
#[cfg(test)]
mod fuzz;
mod metadata;
mod reject;
mod sample;

pub use batch::Parsed;
pub use body::{Limits, Scratch, parse};
pub use encoded::{Encoding, Inflation, STEP_BYTES_MAX};
pub use reject::Reject;
pub(crate) use sample::check_node_id;
