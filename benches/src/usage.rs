//! CPU and memory of other processes, from /proc.

use std::path::Path;

/// Of the times in /proc: USER_HZ is 100 on every Linux that we build for.
const TICKS_PER_S: f64 = 100.0;

struct Stat {
    parent: i32,
    own_ticks: u64,
    /// Of children that have ended and were waited for.
    ended_children_ticks: u64,
}

/// What follows the name, which may hold anything, in parentheses.
fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own_ticks: ticks(11)? + ticks(12)?,
        ended_children_ticks: ticks(13)? + ticks(14)?,
    })
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_S
}

/// CPU seconds of one process so far; 0 when it is gone.
pub fn cpu_s(pid: i32) -> f64 {
    stat(pid).map_or(0.0, |stat| seconds(stat.own_ticks))
}

/// CPU seconds of a PostgreSQL: its main process, and its children whether they live or not.
pub fn postgres_cpu_s(data_dir: &Path) -> f64 {
    let text = std::fs::read_to_string(data_dir.join("postmaster.pid")).unwrap_or_default();
    let Some(main) = text.lines().next().and_then(|line| line.parse().ok()) else {
        return 0.0;
    };
    let Some(stat_of_main) = stat(main) else {
        return 0.0;
    };
    let children: u64 = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .filter(|stat| stat.parent == main)
        .map(|stat| stat.own_ticks)
        .sum();
    seconds(stat_of_main.own_ticks + stat_of_main.ended_children_ticks + children)
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub rss_bytes: u64,
    /// Of it, what is no file: heap and stacks.
    pub anonymous_bytes: u64,
    pub rss_peak_bytes: u64,
}

pub fn memory(pid: i32) -> Memory {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let bytes = |name: &str| {
        text.lines()
            .find_map(|line| {
                let kib = line.strip_prefix(name)?.split_whitespace().next()?;
                Some(kib.parse::<u64>().ok()? * 1024)
            })
            .unwrap_or(0)
    };
    Memory {
        rss_bytes: bytes("VmRSS:"),
        anonymous_bytes: bytes("RssAnon:"),
        rss_peak_bytes: bytes("VmHWM:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let me = i32::try_from(std::process::id()).unwrap();
        let memory = memory(me);
        assert!(memory.rss_bytes > 0 && memory.rss_peak_bytes >= memory.rss_bytes);
        assert!(stat(me).is_some() && cpu_s(i32::MAX) == 0.0);
    }
}
