//! The disk of the data folder: room for the journal, and what one durable write costs.

use super::report::{Report, Trouble};
use crate::config::Config;
use crate::limits::SEGMENT_BYTES;
use rustix::fs::{fdatasync, statfs, statvfs};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const WRITES: u32 = 64;
const BLOCK: [u8; 4_096] = [0xA5; 4_096];
/// A push waits for one of them: slower, and a fleet waits for the disk.
const SYNC_P99_MAX: Duration = Duration::from_millis(50);
/// Of memory: what is there does not survive the machine.
const TMPFS_MAGIC: i64 = 0x0102_1994;

pub(super) fn check(config: &Config, report: &mut Report) {
    let began = Instant::now();
    let dir = &config.data_dir;
    report.found("data folder", began, room(config, dir));
    let began = Instant::now();
    report.found("fdatasync", began, sync(dir));
}

fn room(config: &Config, dir: &Path) -> Result<String, Trouble> {
    let io = |what: &str, error: &dyn std::fmt::Display| {
        Trouble::new(
            format!("{what} {}: {error}", dir.display()),
            "make the folder that FIBER_DATA_DIR names, on a local disk, for the engine's account",
        )
    };
    if !dir.is_dir() {
        return Err(io("look at", &"there is no such folder"));
    }
    let volume = statvfs(dir).map_err(|error| io("look at", &error))?;
    let free_bytes = volume.f_bavail.saturating_mul(volume.f_frsize);
    let journal = dir.join("journal");
    let used_bytes: u64 = fs::read_dir(&journal).map_or(0, |entries| {
        entries
            .flatten()
            .filter_map(|entry| entry.metadata().ok())
            .map(|meta| meta.len())
            .sum()
    });
    // The journal, a spare segment and one under way.
    let needed_bytes = (config.journal_bytes_max + 2 * SEGMENT_BYTES).saturating_sub(used_bytes);
    let told = format!(
        "{}: {} free, the journal may need {} more",
        dir.display(),
        gib(free_bytes),
        gib(needed_bytes)
    );
    if free_bytes < needed_bytes {
        return Err(Trouble::new(
            told,
            "free space, give it a larger disk, or lower FIBER_JOURNAL_BYTES_MAX to what fits",
        ));
    }
    let kind = statfs(dir).map_err(|error| io("look at", &error))?;
    #[allow(
        clippy::unnecessary_cast,
        reason = "the type differs between architectures"
    )]
    let is_memory = kind.f_type as i64 == TMPFS_MAGIC;
    if is_memory {
        return Err(Trouble::new(
            format!("{} is memory (tmpfs)", dir.display()),
            "what is acknowledged must survive a power loss: give FIBER_DATA_DIR a disk",
        ));
    }
    Ok(told)
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

fn sync(dir: &Path) -> Result<String, Trouble> {
    let path = dir.join(format!("fiber-check-{}", Uuid::new_v4()));
    let times = sync_times(&path);
    // Made by us, under a name that nobody else has.
    fs::remove_file(&path).unwrap_or_default();
    let mut times = times.map_err(|error| {
        Trouble::new(
            format!("write and fdatasync in {}: {error}", dir.display()),
            "the engine's account must be able to write there, and the disk must take it",
        )
    })?;
    times.sort_unstable();
    let at = |per_cent: usize| times[(times.len() - 1) * per_cent / 100];
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let told = format!(
        "write of 4 KiB and fdatasync: p50 {:.2} ms, p99 {:.2} ms",
        ms(at(50)),
        ms(at(99))
    );
    if at(99) > SYNC_P99_MAX {
        return Err(Trouble::new(
            told,
            "every push waits for this: use a faster disk, or one that nobody else fills",
        ));
    }
    Ok(told)
}

fn sync_times(path: &Path) -> std::io::Result<Vec<Duration>> {
    let file = File::create_new(path)?;
    // Laid out first: as in the journal, a write then changes no map of the file.
    for number in 0..WRITES {
        file.write_all_at(&BLOCK, u64::from(number) * BLOCK.len() as u64)?;
    }
    file.sync_all()?;
    (0..WRITES)
        .map(|number| {
            let began = Instant::now();
            file.write_all_at(&BLOCK, u64::from(number) * BLOCK.len() as u64)?;
            fdatasync(&file)?;
            Ok(began.elapsed())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_check_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        sync(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_says_so() {
        let trouble = sync(Path::new("/no/such/folder")).unwrap_err();
        assert!(trouble.what.contains("/no/such/folder"), "{trouble:?}");
    }
}
