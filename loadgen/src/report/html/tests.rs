use super::*;
use crate::fleet::{self, Config, Rate};
use crate::hello::Hello;
use std::time::Duration;

fn a_run() -> Report {
    let hello = Hello::start(([127, 0, 0, 1], 0).into(), 1).unwrap();
    fleet::run(Config {
        url: hello.url(),
        probes: 4,
        rate: Rate::PerSecond(200.0),
        duration: Duration::from_millis(1_500),
        tag: Some("<script>".to_owned()),
        ..Config::default()
    })
    .unwrap()
}

#[test]
fn the_page_stands_alone_and_says_what_went_wrong() {
    let mut report = a_run();
    report.failure = Some("the disk is full & more".to_owned());
    report.errors.insert("timeout <x>".to_owned(), 3);
    let page = page(&report);
    assert!(!page.contains("<script") && !page.contains("href=") && !page.contains("src="));
    assert!(!page.contains("url(") && !page.contains("NaN") && !page.contains("inf\""));
    assert!(page.contains("&lt;script&gt;") && page.contains("timeout &lt;x&gt;"));
    assert!(
        page.contains("The run ended by itself.") && page.contains("the disk is full &amp; more")
    );
    for title in [
        "Latency over time",
        "Offered and acknowledged",
        "Latency by percentile",
        "Configuration",
    ] {
        assert!(page.contains(title), "{title}");
    }
    assert_eq!(
        page.matches("<section").count(),
        page.matches("</section>").count()
    );
}

#[test]
fn a_run_without_a_single_answer_is_a_page_too() {
    let mut report = a_run();
    report.seconds.clear();
    report.percentiles.clear();
    report.answers.clear();
    let page = page(&report);
    assert!(page.contains("Nothing was acknowledged.") && !page.contains("NaN"));
}

#[test]
fn a_report_read_back_from_json_makes_the_same_page() {
    let report = a_run();
    let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    // What a float loses in JSON is less than a pixel, but it moves digits of the plots.
    let tables = |page: &str| {
        page.split_once("Milliseconds")
            .map(|(_, rest)| rest.to_owned())
    };
    let (first, second) = (page(&report), page(&again));
    assert!(tables(&first).is_some() && tables(&first) == tables(&second));
    assert_eq!(
        first.matches("<path").count(),
        second.matches("<path").count()
    );
}
