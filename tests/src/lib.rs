//! What breaks the system on purpose, and judges what became of the samples.
//!
//! [`proxy`] stands between two parts and disturbs their link; [`drills`] runs a fleet, breaks
//! something, mends it, and lets the fleet's own ledger be the judge. The tests of the whole system
//! are in `tests/`.

pub mod drills;
pub mod proxy;
