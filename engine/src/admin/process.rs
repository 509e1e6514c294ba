//! The process as the kernel sees it.

use std::fs;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) resident_bytes: u64,
    pub(super) cpu_seconds: f64,
    pub(super) open_fds: u64,
    pub(super) threads: u64,
}

/// Linux tells CPU time in hundredths of a second, whatever its own tick is.
const TICKS_PER_S: f64 = 100.0;
/// Fields of /proc/self/stat, counted from the one after the name in parentheses.
const UTIME: usize = 11;
const STIME: usize = 12;

impl Process {
    /// What cannot be read is 0.
    pub(super) fn now() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let (resident_bytes, threads) = memory(&read("/proc/self/status"));
        let open_fds = fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64);
        Self {
            resident_bytes,
            threads,
            open_fds,
            cpu_seconds: cpu_seconds(&read("/proc/self/stat")),
        }
    }
}

fn memory(status: &str) -> (u64, u64) {
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default();
        line.split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    };
    (field("VmRSS:") * 1024, field("Threads:"))
}

fn cpu_seconds(stat: &str) -> f64 {
    // The name may hold anything, parentheses too; the last one ends it.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks = |at: usize| {
        after
            .split_whitespace()
            .nth(at)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or(0)
    };
    (ticks(UTIME) + ticks(STIME)) as f64 / TICKS_PER_S
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read() {
        let stat = "7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert!((cpu_seconds(stat) - 2.0).abs() < 1e-9);
        assert_eq!(
            memory("Name:\tx\nVmRSS:\t  12 kB\nThreads:\t3\n"),
            (12 * 1024, 3)
        );
        assert_eq!(memory(""), (0, 0));
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let process = Process::now();
        assert!(process.resident_bytes > 0 && process.open_fds > 0 && process.threads > 0);
    }
}
