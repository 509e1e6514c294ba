//! The allocator's one knob that the engine turns.

use libmimalloc_sys::{mi_option_set_default, mi_option_t, mi_option_use_numa_nodes};
use std::ffi::c_long;

/// The crate names the options on both sides of this one, and not this.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;
/// How long pages that are free stay with the process. At the allocator's own second, each peak of a
/// transaction stands beside the ones before it, and the whole segments that a start reads, 64 MiB
/// each, stay for as long as little else is allocated.
const PURGE_DELAY_MS: c_long = 10;

/// What is freed goes back to the system soon, unless `MIMALLOC_PURGE_DELAY` says otherwise.
pub(crate) fn give_back_soon() {
    // SAFETY: the option is one of those that mimalloc has (a test reads it), and a number.
    // JUSTIFICATION: the crate has no safe form of it; with 1,000 active connections the engine holds
    // 108 to 124 MiB instead of 137 to 160, and takes as many requests a second as before; a started
    // one holds 27 MiB instead of 83.
    #[expect(unsafe_code, reason = "the crate has no safe form of it")]
    unsafe {
        mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of all options only this one has this value, so its number is still the right one.
    #[test]
    fn the_option_is_the_delay() {
        let read = || {
            // SAFETY: reads a number.
            #[expect(unsafe_code, reason = "the crate has no safe form of it")]
            unsafe {
                libmimalloc_sys::mi_option_get(PURGE_DELAY)
            }
        };
        assert_eq!(read(), 1_000);
        give_back_soon();
        assert_eq!(read(), PURGE_DELAY_MS);
    }
}
