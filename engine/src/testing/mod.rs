//! Fakes and generators for tests.

pub mod disk;
pub mod random;
