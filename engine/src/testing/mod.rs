//! Fakes and generators for tests.

pub mod disk;
#[cfg(test)]
pub(crate) mod fuzz;
pub mod random;
