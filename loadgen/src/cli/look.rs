//! `fiber-loadgen cities` and `fiber-loadgen report`: to look at, nothing is sent.

use super::{say, write_file};
use anyhow::Context;
use clap::Args;
use fiber_loadgen::report::{FORMAT_VERSION, Report, html, series};
use fiber_loadgen::workload::cities::{CITIES, nearest_hub};
use fiber_loadgen::workload::path::PathModel;
use fiber_loadgen::workload::roster::zone;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) fn cities() -> anyhow::Result<ExitCode> {
    let mut text = format!(
        "{:<16}{:<9}{:<17}{:>9}{:>9}  {:<28}{:>7}{:>9}{:>11}{:>8}\n",
        "city",
        "country",
        "region",
        "lat",
        "lng",
        "measures",
        "km",
        "RTT ms",
        "jitter ms",
        "loss %"
    );
    for (number, city) in (0..).zip(&CITIES) {
        let path = PathModel::of_city(city, number);
        let (hub, _) = nearest_hub((city.lat, city.lng));
        text.push_str(&format!(
            "{:<16}{:<9}{:<17}{:>9.4}{:>9.4}  {:<28}{:>7.0}{:>9.1}{:>11.1}{:>8}\n",
            city.slug,
            city.country,
            zone(city),
            city.lat,
            city.lng,
            hub.host,
            path.km,
            path.rtt_ms,
            path.jitter_ms,
            path.loss_pct
        ));
    }
    text.push_str(
        "\nRTT: the great circle in fibre, the detour of cables and the local network, the last mile; \
         6 % more in the evening.\nJitter: the median of a log-normal with sigma 0.7. Loss: the mean of a \
         Gilbert-Elliott model of two states. Cuts: one round in 5,000, for 3 to 20 rounds.\n",
    );
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// What `fleet --json` wrote
    #[arg(long)]
    json: PathBuf,
    /// Write the page with plots
    #[arg(long)]
    html: Option<PathBuf>,
    /// Write the seconds as CSV
    #[arg(long)]
    csv: Option<PathBuf>,
}

pub(crate) fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(&args.json)
        .with_context(|| format!("read {}", args.json.display()))?;
    let report: Report = serde_json::from_str(&text)
        .with_context(|| format!("{} is no report of a run", args.json.display()))?;
    anyhow::ensure!(
        report.format_version == FORMAT_VERSION,
        "the report has format {}, this program reads {FORMAT_VERSION}",
        report.format_version
    );
    println!("{report}");
    if let Some(path) = &args.html {
        write_file(path, &html::page(&report))?;
    }
    if let Some(path) = &args.csv {
        write_file(path, &series::csv(&report.seconds))?;
    }
    Ok(ExitCode::SUCCESS)
}
