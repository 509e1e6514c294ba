//! The allocator's one knob that the engine turns.

/// Returns what was freed to the system. A start reads whole segments, 64 MiB each, and the
/// allocator keeps them for as long as little else is allocated.
pub(crate) fn give_back() {
    // SAFETY: `mi_collect` takes its own locks, may be called from any thread at any time, and touches
    // nothing that is allocated; without mimalloc as the allocator it finds an empty heap.
    // JUSTIFICATION: the crate has no safe form of it; a started engine holds 21 MiB instead of 83.
    #[expect(unsafe_code, reason = "the crate has no safe form of it")]
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}
