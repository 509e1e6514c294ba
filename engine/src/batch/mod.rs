//! The one crossing between the runtimes: durable groups go from the journal's thread to the writer
//! on tokio.
//!
//! A group is handed over whole, one push per group, never per sample. The queue is bounded in
//! groups and in bytes. When it is full the group is not handed over at all: it is on disk, the
//! reader sees from its sequence that one is missing and reads it there. So nothing waits for a
//! slow database, and memory stays flat during an outage of any length.

mod queue;
#[cfg(loom)]
mod under_loom;

pub use queue::HandOff;
