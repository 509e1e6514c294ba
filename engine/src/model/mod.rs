//! The words that every stage uses: ids, keys and the clock's resolution.

pub(crate) mod clock;
pub mod ids;
pub mod series;
mod trace;

pub use ids::{BatchId, GroupSeq, JournalId};
pub use series::{NodeKey, NodePlace, SeriesKey, SeriesName};
pub use trace::TraceId;
