//! The wall clock as the path of a sample reads it. It may jump: what must not depend on it uses
//! `Instant`. In tests each thread can set it.

#[cfg(not(test))]
pub(crate) fn now() -> fiber_contract::UnixMicros {
    fiber_contract::UnixMicros::now()
}

#[cfg(test)]
pub(crate) use in_tests::{now, set_ahead};

#[cfg(test)]
mod in_tests {
    use fiber_contract::UnixMicros;
    use std::cell::Cell;

    thread_local! {
        static AHEAD_US: Cell<i64> = const { Cell::new(0) };
    }

    pub(crate) fn now() -> UnixMicros {
        UnixMicros(UnixMicros::now().0 + AHEAD_US.get())
    }

    /// From now on this thread's clock is so far ahead of the true one, or behind it.
    pub(crate) fn set_ahead(ahead_s: i64) {
        AHEAD_US.set(ahead_s * 1_000_000);
    }
}
