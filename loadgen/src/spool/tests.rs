use super::*;
use std::collections::BTreeMap;

fn json(n: u64) -> String {
    format!(
        "{{\"node_id\":\"p\",\"n\":{n},\"pad\":\"{}\"}}",
        "x".repeat(n as usize % 23)
    )
}

fn time(n: u64) -> UnixMicros {
    UnixMicros(UnixMicros::now().0 + n as i64)
}

fn fill(spool: &mut Spool, numbers: std::ops::Range<u64>) {
    for n in numbers {
        spool.append(time(n), json(n).as_bytes()).unwrap();
    }
}

fn body(numbers: impl IntoIterator<Item = u64>) -> String {
    let members: Vec<_> = numbers.into_iter().map(json).collect();
    format!("{{\"node_id\":\"p\",\"metrics\":[{}]}}", members.join(","))
}

fn open(path: &Path) -> (Spool, Recovery) {
    Spool::open(path, Limits::default()).unwrap()
}

fn next_body(spool: &mut Spool) -> Option<String> {
    let batch = spool.next_batch(1_000, "p").unwrap()?;
    Some(String::from_utf8(batch.body).unwrap())
}

#[test]
fn the_file_shows_every_sample_settled_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let (mut spool, _) = Spool::open(&path, Limits::default()).unwrap();
    for number in 0..3 {
        spool
            .append(UnixMicros::now(), format!("{{\"n\":{number}}}").as_bytes())
            .unwrap();
    }
    let batch = spool.next_batch(2, "n").unwrap().unwrap();
    spool.settle(&batch).unwrap();
    assert_eq!(spool.waiting(), 1);
    let all = every_sample(&path).unwrap();
    let seqs: Vec<_> = all.iter().map(|(seq, _)| seq.0).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(all[2].1, b"{\"n\":2}");
}

#[test]
fn after_a_crash_the_same_batch_goes_out_again_under_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let (mut spool, _) = open(&path);
    fill(&mut spool, 0..3);
    let first = spool.next_batch(1_000, "p").unwrap().unwrap();
    fill(&mut spool, 3..5);
    drop(spool);

    let (mut spool, recovery) = open(&path);
    assert_eq!(
        recovery,
        Recovery {
            waiting: 5,
            ..Recovery::default()
        }
    );
    // Another node id now does not change what was begun.
    assert_eq!(spool.next_batch(1_000, "q").unwrap().unwrap(), first);
    assert_eq!(String::from_utf8_lossy(&first.body), body(0..3));
    spool.settle(&first).unwrap();
    let second = spool.next_batch(1_000, "p").unwrap().unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(String::from_utf8_lossy(&second.body), body(3..5));
    spool.settle(&second).unwrap();
    assert_eq!(spool.next_batch(1_000, "p").unwrap(), None);
}

#[test]
fn cut_at_every_byte_the_spool_opens_with_what_was_whole_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let (mut spool, _) = open(&path);
    // Which bodies may be next, by the length of the file.
    let mut expect = BTreeMap::from([(0, None), (16, None)]);
    let mut note = |spool: &Spool, next: Option<String>| {
        expect.insert(spool.file_bytes, next);
    };
    for n in 0..4 {
        fill(&mut spool, n..n + 1);
        note(&spool, Some(body(0..=n)));
    }
    let batch = spool.next_batch(2, "p").unwrap().unwrap();
    note(&spool, Some(body(0..2)));
    spool.settle(&batch).unwrap();
    note(&spool, Some(body(2..4)));
    fill(&mut spool, 4..5);
    note(&spool, Some(body(2..5)));
    drop(spool);

    let whole = std::fs::read(&path).unwrap();
    let cut_path = folder.path().join("cut");
    for cut in 0..=whole.len() {
        std::fs::write(&cut_path, &whole[..cut]).unwrap();
        let (mut spool, recovery) = open(&cut_path);
        let (end, next) = expect.range(..=cut as u64).next_back().unwrap();
        assert_eq!(recovery.torn_bytes, cut as u64 - end, "cut at {cut}");
        assert_eq!(recovery.damaged_bytes, 0);
        assert_eq!(&next_body(&mut spool), next, "cut at {cut}");
        fill(&mut spool, 9..10);
        let waiting = spool.waiting();
        drop(spool);
        assert_eq!(
            open(&cut_path).0.waiting(),
            waiting,
            "cut at {cut}, appended, reopened"
        );
    }
}

#[test]
fn a_flipped_byte_costs_the_record_it_lies_in_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let (mut spool, _) = open(&path);
    let mut ends = Vec::new();
    for n in 0..6 {
        fill(&mut spool, n..n + 1);
        ends.push(spool.file_bytes as usize);
    }
    drop(spool);
    let whole = std::fs::read(&path).unwrap();
    for at in record::HEADER_BYTES as usize..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        let hit = ends.iter().position(|end| at < *end).unwrap() as u64;
        let (mut spool, recovery) = open(&path);
        let expect = body((0..6).filter(|n| *n != hit));
        assert_eq!(next_body(&mut spool), Some(expect), "byte {at}");
        assert!(recovery.damaged_bytes + recovery.torn_bytes > 0);
    }
    let mut bytes = whole;
    bytes[3] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(
        Spool::open(&path, Limits::default()),
        Err(Error::NotASpool(_))
    ));
}

#[test]
fn bad_samples_are_dropped_alone_and_the_rest_gets_a_new_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let (mut spool, _) = open(&path);
    fill(&mut spool, 0..5);
    let batch = spool.next_batch(4, "p").unwrap().unwrap();
    spool
        .drop_samples(&batch, &[batch.seqs[0], batch.seqs[2]])
        .unwrap();
    let rest = spool.next_batch(4, "p").unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&rest.body), body([1, 3]));
    assert_ne!(rest.id, batch.id);
    drop(spool);
    let (mut spool, _) = open(&path);
    assert_eq!(spool.next_batch(4, "p").unwrap().unwrap(), rest);
    spool.renew(&rest, 1).unwrap();
    let half = spool.next_batch(4, "p").unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&half.body), body([1]));
    spool.settle(&half).unwrap();
    assert_eq!(next_body(&mut spool), Some(body([3, 4])));
}

#[test]
fn the_oldest_fall_out_of_a_full_spool_and_the_file_stays_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let limits = Limits {
        bytes_max: 400_000,
        ..Limits::default()
    };
    let (mut spool, _) = Spool::open(&path, limits).unwrap();
    let sample = vec![b'x'; 1_000];
    for n in 0..3_000 {
        spool.append(time(n), &sample).unwrap();
        assert!(spool.file_bytes < 2 * limits.bytes_max + REWRITE_BYTES_MIN);
        assert_eq!(spool.waiting() as u64 + spool.dropped(), n + 1);
    }
    assert!((380..400).contains(&spool.waiting()), "{}", spool.waiting());
    let newest = spool.live.back().unwrap().seq;
    drop(spool);
    let (mut spool, recovery) = Spool::open(&path, limits).unwrap();
    assert!((380..400).contains(&recovery.waiting));
    assert_eq!(spool.append(time(0), b"{}").unwrap(), Seq(newest.0 + 1));
}

#[test]
fn old_samples_fall_out_and_settled_space_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let (mut spool, _) = open(&path);
    spool.append(UnixMicros(0), b"{\"too\":\"old\"}").unwrap();
    let sample = vec![b'x'; 2_000];
    for n in 0..500 {
        spool.append(time(n), &sample).unwrap();
    }
    assert_eq!((spool.dropped(), spool.waiting()), (1, 500));
    while let Some(batch) = spool.next_batch(100, "p").unwrap() {
        spool.settle(&batch).unwrap();
    }
    let last = spool.next;
    assert!(std::fs::metadata(&path).unwrap().len() < REWRITE_BYTES_MIN);
    drop(spool);
    let (mut spool, recovery) = open(&path);
    assert_eq!(recovery, Recovery::default());
    assert_eq!(
        spool.append(time(0), b"{}").unwrap(),
        last,
        "numbers are never used again"
    );
}

#[test]
fn two_probes_cannot_share_a_spool() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let (_spool, _) = open(&path);
    assert!(matches!(
        Spool::open(&path, Limits::default()),
        Err(Error::InUse(_))
    ));
}
