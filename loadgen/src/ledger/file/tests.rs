use super::*;
use Outcome::{Acked, Refused, Unknown};

fn name(node: &str) -> SeriesName {
    SeriesName {
        node_id: node.to_owned(),
        target_host: String::new(),
        probe_type: "tcp".into(),
    }
}

fn entries(series: u32, outcomes: &[Outcome]) -> Vec<Entry> {
    let numbered = (1..).zip(outcomes);
    numbered
        .map(|(n, outcome)| Entry::new(series, n, u32::MAX, *outcome))
        .collect()
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn two_runs_in_one_file_read_back_with_their_series_merged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let mut file = LedgerFile::append(&path, &[name("a"), name("b")]).unwrap();
    let some_bad = [
        Entry::new(1, 7, 70, Acked),
        Entry::new(1, 8, 80, Refused).bad(),
        Entry::new(1, 9, 90, Unknown),
    ];
    for (request, entries) in [(3, entries(0, &[Acked; 2])), (9, some_bad[..2].to_vec())] {
        file.intend(request, &entries).unwrap();
        file.settle(request, &entries).unwrap();
    }
    let refused = entries(0, &[Refused; 2]);
    file.intend(4, &refused).unwrap();
    file.settle(4, &refused).unwrap();
    let doubtful = [some_bad[1], some_bad[2]];
    file.intend(5, &doubtful).unwrap();
    file.settle(5, &doubtful).unwrap();
    file.flush().unwrap();
    drop(file);
    let mut file = LedgerFile::append(&path, &[name("b"), name("c")]).unwrap();
    file.intend(3, &entries(0, &[Acked])).unwrap();
    drop(file);

    let ledger = Ledger::read(&path).unwrap();
    assert_eq!(ledger.series, [name("a"), name("b"), name("c")]);
    let mut expect = entries(0, &[Acked; 2]);
    expect.extend(&some_bad[..2]);
    expect.extend(&refused);
    expect.extend(doubtful);
    // The second run's number 0 is the first one's 1, and its request has no end.
    expect.extend(entries(1, &[Unknown]));
    assert_eq!(ledger.entries, expect);
}

#[test]
fn a_file_cut_at_any_byte_has_every_request_that_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let mut file = LedgerFile::append(&path, &[name("a")]).unwrap();
    let mut ends = Vec::new();
    for request in 0..20 {
        let held = entries(0, &[Acked; 3]);
        file.intend(request, &held).unwrap();
        // From here on the request may be on its way.
        ends.push(std::fs::metadata(&path).unwrap().len());
        file.settle(request, &held).unwrap();
    }
    file.flush().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut");
    for length in 0..=bytes.len() {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let sent = ends.iter().filter(|end| **end <= length as u64).count();
        let ledger = Ledger::read(&cut).unwrap();
        assert_eq!(ledger.entries.len(), sent * 3, "cut at {length}");
        // The next run goes on behind it, and nothing else is lost.
        if length % 7 == 0 {
            let mut file = LedgerFile::append(&cut, &[name("z")]).unwrap();
            file.intend(0, &entries(0, &[Acked])).unwrap();
            let ledger = Ledger::read(&cut).unwrap();
            assert_eq!(ledger.entries.len(), sent * 3 + 1, "cut at {length}");
        }
    }
}

#[test]
fn what_is_no_ledger_is_an_error_and_a_torn_last_line_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    for bad in [
        "a\t0\t1\t1\n",
        "q\t1\t0\t5:5\n",
        "o\t1\ta\n",
        "s\ta\n",
        "s\ta\tb\tc\nq\t1\t0\t5:x\n",
        "s\ta\tb\tc\nq\t1\t0\t5:5\no\t1\ta\t7\n",
        "s\ta\tb\tc\nq\t1\t0\t5:5\no\t1\ta\no\t1\ta\n",
        "hello\n",
    ] {
        std::fs::write(&path, format!("fiber-ledger 2\n{bad}")).unwrap();
        assert!(Ledger::read(&path).is_err(), "{bad:?}");
    }
    std::fs::write(&path, "fiber-ledger 2\ns\ta\tb\tc\nq\t1\t0\t5:5\n").unwrap();
    append(&path, b"o\t1\tgarb");
    assert_eq!(Ledger::read(&path).unwrap().count(Unknown), 1);
}

#[test]
fn the_first_version_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    std::fs::write(
        &path,
        "fiber-ledger 1\ns\ta\t\ttcp\na\t0\t5\t77\nu\t0\t6\t78\nr\t0\t7\t79\n",
    )
    .unwrap();
    let ledger = Ledger::read(&path).unwrap();
    let outcomes: Vec<_> = ledger.entries.iter().map(|e| e.outcome()).collect();
    assert_eq!(outcomes, [Acked, Unknown, Refused]);
    assert_eq!(ledger.span_us(), Some((5, 7)));
}

#[test]
fn a_full_disk_is_told_before_anything_is_sent() {
    // Every write to it fails with "no space left".
    assert!(LedgerFile::append(Path::new("/dev/full"), &[]).is_err());
}

#[test]
fn a_ledger_in_use_is_not_shared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let first = LedgerFile::append(&path, &[]).unwrap();
    assert!(LedgerFile::append(&path, &[]).is_err());
    drop(first);
    assert!(LedgerFile::append(&path, &[]).is_ok());
}
