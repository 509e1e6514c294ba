//! Which process is meant: a pid alone is recycled, pid with start time and boot is not.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pid: i32,
    start_ticks: u64,
    boot_id: String,
}

/// The fields of `/proc/<pid>/stat` that are used here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    state: char,
    parent: i32,
    start_ticks: u64,
}

/// The command's name is in parentheses and may hold anything, parentheses too.
fn parse_stat(line: &str) -> Option<Stat> {
    let (head, tail) = line.rsplit_once(") ")?;
    let pid = head.split_once(" (")?.0.trim().parse().ok()?;
    let mut fields = tail.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the line; three are gone, and two behind the name were taken.
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        pid,
        state,
        parent,
        start_ticks,
    })
}

fn stat_of(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

impl Identity {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = stat_of(pid)?;
        Some(Self {
            pid,
            start_ticks: stat.start_ticks,
            boot_id: boot_id(),
        })
    }

    pub fn of_this_process() -> Option<Self> {
        Self::of(i32::try_from(std::process::id()).ok()?)
    }

    /// Reads a pid file: the process's own `stat` line, then the boot's id.
    pub fn load(path: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(path).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.trim_end().rsplitn(2, '\n');
        let boot_id = lines.next()?.to_owned();
        let stat = parse_stat(lines.next()?)?;
        Some(Self {
            pid: stat.pid,
            start_ticks: stat.start_ticks,
            boot_id,
        })
    }

    /// As text that names a folder, and back.
    pub fn to_tag(&self) -> String {
        format!("{}-{}", self.pid, self.start_ticks)
    }

    pub fn from_tag(tag: &str) -> Option<Self> {
        let mut parts = tag.split('-');
        let pid = parts.next()?.parse().ok()?;
        let start_ticks = parts.next()?.parse().ok()?;
        Some(Self {
            pid,
            start_ticks,
            boot_id: boot_id(),
        })
    }

    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// A zombie is dead: it holds no port and no file any more.
    pub fn is_alive(&self) -> bool {
        self.boot_id == boot_id()
            && stat_of(self.pid).is_some_and(|stat| {
                stat.start_ticks == self.start_ticks && !matches!(stat.state, 'Z' | 'X')
            })
    }

    /// Signals this very process. `Ok(false)` when it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(false);
        };
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
            return Ok(false);
        };
        // Checked after the pidfd is held: from here on the number cannot pass to another process.
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(&pidfd, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn all_pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The direct children of a process.
pub fn children_of(parent: &Identity) -> Vec<Identity> {
    all_pids()
        .into_iter()
        .filter(|pid| stat_of(*pid).is_some_and(|stat| stat.parent == parent.pid))
        .filter_map(Identity::of)
        .collect()
}

/// Processes whose working directory is `dir` or below it.
pub fn processes_inside(dir: &Path) -> Vec<Identity> {
    all_pids()
        .into_iter()
        .filter(|pid| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
        })
        .filter_map(Identity::of)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_name_with_parentheses_and_newlines_does_not_shift_the_fields() {
        let line = "71 (a) R 1 (\nb) S 12 71 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";
        let stat = parse_stat(line).unwrap();
        assert_eq!(
            stat,
            Stat {
                pid: 71,
                state: 'S',
                parent: 12,
                start_ticks: 987_654
            }
        );
    }

    #[test]
    fn a_recycled_pid_is_not_the_process_that_was_meant() {
        let me = Identity::of_this_process().unwrap();
        assert!(me.is_alive());
        let earlier = Identity {
            start_ticks: me.start_ticks - 1,
            ..me.clone()
        };
        assert!(!earlier.is_alive());
        assert!(
            !earlier.signal(Signal::KILL).unwrap(),
            "this process must survive"
        );
        let other_boot = Identity {
            boot_id: "another".to_owned(),
            ..me
        };
        assert!(!other_boot.signal(Signal::KILL).unwrap());
    }

    #[test]
    fn a_zombie_counts_as_dead() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = Identity::of(pid).unwrap();
        for _ in 0..500 {
            if !identity.is_alive() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(
            Path::new(&format!("/proc/{pid}")).exists(),
            "not reaped yet"
        );
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn a_pid_file_of_stat_line_and_boot_is_read_back() {
        let me = Identity::of_this_process().unwrap();
        let line = fs::read_to_string("/proc/self/stat").unwrap();
        let text = format!("{line}{}\n", boot_id());
        assert_eq!(Identity::parse(&text), Some(me.clone()));
        assert_eq!(Identity::parse("123\n"), None);
        assert_eq!(Identity::from_tag(&me.to_tag()), Some(me));
    }
}
