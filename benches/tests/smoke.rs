//! Every figure once, at the smallest size, against the real servers.

use std::process::Command;

#[test]
fn every_figure_is_measured_and_reported() {
    let out = std::env::temp_dir().join(format!("fiber-benches-{}.md", std::process::id()));
    let run = Command::new(env!("CARGO_BIN_EXE_fiber-benches"))
        .args(["--quick", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
    let text = std::fs::read_to_string(&out).unwrap();
    std::fs::remove_file(&out).unwrap();
    for id in ["P1", "P2", "P3", "P4", "P5, P6", "P7", "P8", "P9", "P11"] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("| {id} | ")));
        let median = line.and_then(|line| line.split("**").nth(1)).unwrap();
        let number: f64 = median.split(' ').next().unwrap().parse().unwrap();
        assert!(number.is_finite() && number > 0.0, "{id}: {median}");
    }
    assert!(text.contains("format version") && text.contains("fdatasync: p50"));
}
