//! Which stage of the path a stack belongs to, and the budget that follows.

use super::stacks::Stacks;
use std::fmt::Write as _;

/// A stage and the functions that stand for it; the first row that fits a frame takes it.
const STAGES: [(&str, &[&str]); 22] = [
    ("read: recv and its timer", &["Connection::read::"]),
    ("frame: the head", &["accept::http1::", "httparse::"]),
    ("parse: the body", &["engine::parse::", "simd_json::"]),
    ("hash of the body", &["sha2::"]),
    (
        "admit: token, quotas, permits",
        &[
            "engine::auth::",
            "admit::rate::",
            "Admit::head",
            "admit::head::",
            "admit::in_flight::",
        ],
    ),
    (
        "record: encode and queue",
        &["journal::record::", "record_of", "journal::appender::"],
    ),
    (
        "answer: JSON and head",
        &["accept::respond::", "admit::reply::"],
    ),
    ("write: send and its timer", &["Connection::write"]),
    ("give answers out", &["journal::answers::"]),
    ("zeros ahead", &["journal::tidy::"]),
    ("write and sync a group", &["journal::storage::"]),
    (
        "group, checksum, the rest of the journal",
        &["engine::journal::"],
    ),
    ("decode and sort", &["copy::plan::", "copy::row::"]),
    ("names", &["copy::names::"]),
    ("rollups", &["publish::rollup::"]),
    ("accounts", &["copy::ledger::"]),
    (
        "the rest of the writer",
        &["engine::copy::", "tokio_postgres::"],
    ),
    ("live state", &["engine::query::"]),
    (
        "the rest of a request",
        &["engine::accept::", "engine::admit::"],
    ),
    ("epoll", &["epoll_wait", "LegacyDriver"]),
    ("runtime", &["monoio::", "tokio::"]),
    ("sleeping and waking", &["schedule", "futex"]),
];
const REST: &str = "the rest";

fn stage_of(frames: &[String]) -> &'static str {
    let find = |frame: &String| {
        STAGES
            .iter()
            .find(|(_, names)| names.iter().any(|name| frame.contains(name)))
    };
    // From the inside out: the engine's own frames decide, others only where there is none.
    let ours = frames
        .iter()
        .rev()
        .filter(|frame| frame.contains("fiber_engine"));
    ours.chain(frames.iter().rev())
        .find_map(find)
        .map_or(REST, |(stage, _)| stage)
}

/// By thread and stage, with its share and µs a request.
/// `cpu_us_each` of what `of` names.
pub(super) fn table(stacks: &Stacks, cpu_us_each: f64, of: &str) -> String {
    const SHARE_MIN: f64 = 0.003;
    let mut rows: Vec<(String, &'static str, u64)> = Vec::new();
    for (frames, count) in stacks.iter() {
        let (thread, stage) = (frames[0].as_str(), stage_of(&frames[1..]));
        match rows
            .iter_mut()
            .find(|row| row.0 == thread && row.1 == stage)
        {
            Some(row) => row.2 += count,
            None => rows.push((thread.to_owned(), stage, count)),
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.2));
    let total = stacks.total().max(1) as f64;
    let mut text = format!("| thread | stage | share | µs a {of} |\n|---|---|---:|---:|\n");
    for (thread, stage, count) in rows {
        let share = count as f64 / total;
        if share >= SHARE_MIN {
            let (percent, us) = (share * 100.0, share * cpu_us_each);
            writeln!(text, "| {thread} | {stage} | {percent:.1} % | {us:.3} |")
                .expect("a String takes everything");
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stack: &str, stage: &str) {
        let frames: Vec<String> = stack.split(';').map(str::to_owned).collect();
        assert_eq!(stage_of(&frames), stage, "{stack}");
    }

    #[test]
    fn the_innermost_function_of_the_engine_names_the_stage() {
        check(
            "fiber_engine::accept::connection::serve;fiber_engine::parse::body::parse;malloc",
            "parse: the body",
        );
        check(
            "fiber_engine::journal::writer::Writer::run;fiber_engine::journal::storage::DiskFile::sync;fdatasync",
            "write and sync a group",
        );
        check(
            "fiber_engine::copy::writer::run;tokio_postgres::x;memcpy",
            "the rest of the writer",
        );
        check("clone;epoll_wait;schedule", "sleeping and waking");
        check("clone;epoll_wait", "epoll");
        check("clone;?", REST);
    }
}
