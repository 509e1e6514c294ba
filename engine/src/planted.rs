//! Bugs that the tests must find: `make planted` switches them on, one after the other, and fails
//! when one survives.
//!
//! Only a build with `--cfg planted` has them, and it takes the name of one from the environment.
//! Everywhere else `planted` is `false` at compile time, and nothing of it is left in the binary.

/// Whether the bug of this name is switched on.
#[cfg(not(planted))]
pub(crate) const fn planted(_bug: &str) -> bool {
    false
}

#[cfg(planted)]
pub(crate) fn planted(bug: &str) -> bool {
    use std::sync::LazyLock;
    static CHOSEN: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("FIBER_PLANTED").ok());
    CHOSEN.as_deref() == Some(bug)
}
