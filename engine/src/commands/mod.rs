//! The commands that ask the database something and end.

mod audit;
mod keys;
mod users;

pub(crate) use audit::{AuditCommand, audit};
pub(crate) use keys::{KeyCommand, key};
pub(crate) use users::{UserCommand, user};

/// Nothing can be done when even standard error is closed.
fn complain(message: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{message}").unwrap_or_default();
}
