//! The fleet as it is now, in memory, and the stream that shows it.
//!
//! One task (`task`) owns time: it takes what the writer committed, and at most twice a second folds
//! it into the nodes (`node`), finds the ones that fell silent, and publishes one change. The change
//! is serialised once and shared by all browsers. The last ticks are kept (`ring`), so a browser
//! that comes back says `Last-Event-ID` and gets what it missed; if that is too long ago, or it was
//! too slow, it gets a snapshot. Nothing is buffered per browser.
//!
//! The views and the ring change together under one lock, so a snapshot is exactly the state after
//! its tick: no sample is shown twice or left out.

mod fleet;
mod hub;
mod load;
mod node;
mod ring;
mod sse;
mod task;

pub use hub::Hub;
pub use task::{Sources, run};

pub(super) use node::nearest_rank;
pub(super) use sse::{head, stream};
