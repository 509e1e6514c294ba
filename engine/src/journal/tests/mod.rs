//! The journal as its users see it, over a disk that fails and over a real one.

mod crash;
mod damage;
mod faults;
mod fuzz;
pub(crate) mod rig;
mod threads;
