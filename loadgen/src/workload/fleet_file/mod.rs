//! A fleet from a file: the operator's own probes instead of made-up ones.
//!
//! CSV with a head line, or a JSON array of objects; the names are the same, and their order is
//! free:
//!
//! | field | |
//! |---|---|
//! | `node_id` | 1–64 of `[A-Za-z0-9._:-]`, each once |
//! | `city` | one of `fiber-loadgen cities` brings its country, region and place with it |
//! | `country`, `region` | needed without a known city |
//! | `lat`, `lng` | degrees; the latency comes from the distance to the nearest hub |
//! | `target_host`, `probe_type` | default: that hub, `tcp` |
//! | `tags` | in CSV separated by `;` |
//! | `rtt_ms`, `jitter_ms`, `loss_pct`, `outage_pct` | the path, where it is known better |
//!
//! Every mistake is reported with its line, all of them together.

mod check;

use super::roster::ProbeIdentity;
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One probe as it was written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    node_id: String,
    city: Option<String>,
    country: Option<String>,
    region: Option<String>,
    lat: Option<f64>,
    lng: Option<f64>,
    target_host: Option<String>,
    probe_type: Option<String>,
    tags: Vec<String>,
    rtt_ms: Option<f64>,
    jitter_ms: Option<f64>,
    loss_pct: Option<f64>,
    outage_pct: Option<f64>,
}

#[derive(Debug)]
pub struct Mistake {
    pub line: usize,
    pub what: String,
}

#[derive(Debug)]
pub struct BadFleet {
    pub path: PathBuf,
    pub mistakes: Vec<Mistake>,
}

const MISTAKES_TOLD_MAX: usize = 20;

impl fmt::Display for BadFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mistakes.len();
        write!(f, "the fleet has {count} mistake(s):")?;
        for mistake in self.mistakes.iter().take(MISTAKES_TOLD_MAX) {
            write!(
                f,
                "\n{}:{}: {}",
                self.path.display(),
                mistake.line,
                mistake.what
            )?;
        }
        match count.saturating_sub(MISTAKES_TOLD_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for BadFleet {}

/// Reads and checks the whole file.
pub fn read(path: &Path) -> anyhow::Result<Arc<[ProbeIdentity]>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("read the fleet {}: {error}", path.display()))?;
    let is_json = text.trim_start().starts_with(['[', '{']);
    parse(&text, is_json).map_err(|mistakes| {
        let path = path.to_path_buf();
        BadFleet { path, mistakes }.into()
    })
}

fn parse(text: &str, is_json: bool) -> Result<Arc<[ProbeIdentity]>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let rows = if is_json {
        json_rows(text, &mut mistakes)
    } else {
        csv_rows(text, &mut mistakes)
    };
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut fleet = Vec::new();
    for (line, written) in rows {
        if let Some(before) = seen.insert(written.node_id.clone(), line)
            && !written.node_id.is_empty()
        {
            let what = format!("node_id {} is in line {before} already", written.node_id);
            mistakes.push(Mistake { line, what });
        }
        match check::check(written) {
            Ok(probe) => fleet.push(probe),
            Err(what) => mistakes.extend(what.into_iter().map(|what| Mistake { line, what })),
        }
    }
    if fleet.is_empty() && mistakes.is_empty() {
        let what = "the fleet has no probe".to_owned();
        mistakes.push(Mistake { line: 1, what });
    }
    if mistakes.is_empty() {
        return Ok(fleet.into());
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    Err(mistakes)
}

fn csv_rows(text: &str, mistakes: &mut Vec<Mistake>) -> Vec<(usize, Written)> {
    let mut rows = Vec::new();
    let mut names: Option<Vec<String>> = None;
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let mut wrong = |what: String| mistakes.push(Mistake { line, what });
        let Some(cells) = csv_cells(text) else {
            wrong("a quoted cell does not end".to_owned());
            continue;
        };
        let Some(names) = &names else {
            if !cells.iter().any(|name| name.trim() == "node_id") {
                wrong("the first line must name the columns, node_id among them".to_owned());
                return rows;
            }
            for name in &cells {
                if set(&mut Written::default(), name.trim(), "").is_err_and(|e| e == UNKNOWN) {
                    wrong(format!("there is no column {}", name.trim()));
                }
            }
            names = Some(cells.iter().map(|name| name.trim().to_owned()).collect());
            continue;
        };
        if cells.len() != names.len() {
            wrong(format!(
                "{} cells under {} columns",
                cells.len(),
                names.len()
            ));
            continue;
        }
        let mut written = Written::default();
        for (name, cell) in names.iter().zip(&cells) {
            match set(&mut written, name, cell.trim()) {
                Err(what) if what != UNKNOWN => wrong(format!("{name} {what}: {cell}")),
                _ => {}
            }
        }
        rows.push((line, written));
    }
    rows
}

const UNKNOWN: &str = "is unknown";

fn set(written: &mut Written, name: &str, cell: &str) -> Result<(), &'static str> {
    let text = || (!cell.is_empty()).then(|| cell.to_owned());
    let number = || match cell {
        "" => Ok(None),
        cell => cell.parse().map(Some).map_err(|_| "is not a number"),
    };
    match name {
        "node_id" => written.node_id = cell.to_owned(),
        "city" => written.city = text(),
        "country" => written.country = text(),
        "region" => written.region = text(),
        "lat" => written.lat = number()?,
        "lng" => written.lng = number()?,
        "target_host" => written.target_host = text(),
        "probe_type" => written.probe_type = text(),
        "tags" => {
            let tags = cell.split(';').map(str::trim).filter(|tag| !tag.is_empty());
            written.tags = tags.map(str::to_owned).collect();
        }
        "rtt_ms" => written.rtt_ms = number()?,
        "jitter_ms" => written.jitter_ms = number()?,
        "loss_pct" => written.loss_pct = number()?,
        "outage_pct" => written.outage_pct = number()?,
        _ => return Err(UNKNOWN),
    }
    Ok(())
}

/// Cells of one line; a cell in quotes may hold commas, and quotes twice.
fn csv_cells(line: &str) -> Option<Vec<String>> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut()?;
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    (!quoted).then_some(cells)
}

fn json_rows(text: &str, mistakes: &mut Vec<Mistake>) -> Vec<(usize, Written)> {
    let line_at = |at: usize| {
        1 + text.as_bytes()[..at]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
    };
    let mut wrong = |line, what| mistakes.push(Mistake { line, what });
    // First the whole, so that what follows sees valid JSON only.
    let whole: Result<Vec<serde::de::IgnoredAny>, _> = serde_json::from_str(text);
    if let Err(error) = whole {
        wrong(error.line(), format!("not an array of probes: {error}"));
        return Vec::new();
    }
    let mut rows = Vec::new();
    for (start, object) in json_members(text) {
        match serde_json::from_str(object) {
            Ok(written) => rows.push((line_at(start), written)),
            Err(error) => wrong(line_at(start) + error.line() - 1, error.to_string()),
        }
    }
    rows
}

/// The members of a (valid) array with the place of each.
fn json_members(text: &str) -> Vec<(usize, &str)> {
    let (mut depth, mut in_string, mut escaped, mut start) = (0, false, false, None);
    let mut members = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        let outside = !in_string && depth == 1;
        if outside && (byte == b',' || byte == b']') {
            if let Some(from) = start.take() {
                members.push((from, &text[from..at]));
            }
        } else if outside && start.is_none() && !byte.is_ascii_whitespace() {
            start = Some(at);
        }
        match byte {
            b'"' if !escaped => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        escaped = in_string && byte == b'\\' && !escaped;
    }
    members
}

/// The same fleet as a file that [`read`] takes.
pub fn to_csv(fleet: &[ProbeIdentity]) -> String {
    let mut text = String::from(
        "node_id,country,region,city,lat,lng,target_host,probe_type,tags,rtt_ms,jitter_ms,loss_pct,outage_pct\n",
    );
    for probe in fleet {
        let quoted = |value: &str| {
            if value.contains([',', '"']) {
                format!("\"{}\"", value.replace('"', "\"\""))
            } else {
                value.to_owned()
            }
        };
        let ProbeIdentity { lat, lng, path, .. } = probe;
        text.push_str(&format!(
            "{},{},{},{},{lat},{lng},{},{},{},{:.3},{:.3},{},{:.4}\n",
            probe.node_id,
            probe.country,
            quoted(&probe.region),
            quoted(&probe.city),
            quoted(&probe.target_host),
            quoted(&probe.probe_type),
            quoted(&probe.tags.join(";")),
            path.rtt_ms,
            path.jitter_ms,
            path.loss_pct,
            path.outage * check::CUT_ROUNDS * 100.0,
        ));
    }
    text
}

pub fn to_json(fleet: &[ProbeIdentity]) -> String {
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let members: Vec<_> = fleet
        .iter()
        .map(|probe| {
            serde_json::json!({
                "node_id": probe.node_id, "country": probe.country, "region": probe.region,
                "city": probe.city, "lat": probe.lat, "lng": probe.lng,
                "target_host": probe.target_host, "probe_type": probe.probe_type,
                "tags": probe.tags, "rtt_ms": rounded(probe.path.rtt_ms),
                "jitter_ms": rounded(probe.path.jitter_ms), "loss_pct": probe.path.loss_pct,
                "outage_pct": rounded(probe.path.outage * check::CUT_ROUNDS * 100.0),
            })
            .to_string()
        })
        .collect();
    format!("[\n  {}\n]\n", members.join(",\n  "))
}

#[cfg(test)]
mod tests;
