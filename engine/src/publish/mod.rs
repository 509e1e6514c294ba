//! What becomes visible once a batch is in the table.

pub mod notify;
pub mod rollup;
