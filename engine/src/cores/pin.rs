//! Which processor a core runs on.

/// Binds the calling thread. Containers may forbid it, which costs a little speed and nothing else.
pub(super) fn pin(index: usize) {
    let processors: Vec<usize> = allowed_processors();
    if processors.is_empty() {
        return;
    }
    let processor = processors[index % processors.len()];
    if let Err(error) = monoio::utils::bind_to_cpu_set([processor]) {
        tracing::warn!(core = index, processor, %error, "pin an ingest core; it runs unpinned");
    }
}

/// The processors that this process may use, which need not start at 0.
fn allowed_processors() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|processor| set.is_set(*processor))
        .collect()
}
