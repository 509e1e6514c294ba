//! What the tests of the whole system, which are in `tests/`, share with the programs beside them.
//!
//! [`proxy`] stands between two parts and disturbs their link; [`drills`] runs a fleet, breaks
//! something, mends it, and lets the fleet's own ledger be the judge. [`stage`] is a stack with a
//! fleet to look at, [`browser`] looks at it, and [`audit`] judges what is seen. [`gates`]
//! measures all that the system is held against, and says what it missed.

pub mod audit;
pub mod browser;
pub mod deployment;
pub mod drills;
pub mod gates;
pub mod people;
pub mod proxy;
pub mod stage;

use fiber_loadgen::stack_env::DbConfig;
use fiber_local::servers::Database;

/// As those who judge by the tables need it.
pub(crate) fn db_config(database: &Database) -> DbConfig {
    DbConfig {
        host: database.host.clone(),
        port: database.port,
        user: database.user.clone(),
        password: database.password.clone(),
        database: database.name.clone(),
    }
}
