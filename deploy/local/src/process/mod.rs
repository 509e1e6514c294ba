//! Processes that are started, recognised again and stopped.
//!
//! Guarantees: a recycled pid is never signalled (an [`Identity`] is pid, start time and boot, and
//! the signal goes through a pidfd opened before the check); a daemon's pid file exists before
//! its program does; a process tied to its parent dies with it, however the parent ends.

pub mod account;
mod identity;
mod launch;

pub use identity::{Identity, children_of, processes_inside};
pub use launch::{Launch, Lifetime, Running};
pub use rustix::process::Signal;
