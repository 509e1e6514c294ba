//! What the tests of the whole system, which are in `tests/`, share with the programs beside them.
//!
//! [`proxy`] stands between two parts and disturbs their link; [`drills`] runs a fleet, breaks
//! something, mends it, and lets the fleet's own ledger be the judge. [`stage`] is a stack with a
//! fleet to look at, [`browser`] looks at it, and [`audit`] judges what is seen.

pub mod audit;
pub mod browser;
pub mod drills;
pub mod proxy;
pub mod stage;
