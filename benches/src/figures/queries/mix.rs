//! The questions, and the dashboards that ask them.

use super::TAG;
use crate::Size;
use crate::rig::Stack;
use anyhow::{Context as _, Result, ensure};
use fiber_contract::UnixMicros;
use fiber_loadgen::workload::roster;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Between an answer and the next question of the same dashboard.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    Overview,
    Ranking,
    FleetDay,
    RegionDay,
    NodeDay,
    NodeHour,
    NodeHeatmap,
    FleetHeatmap,
    Raw,
    Ledger,
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::Table,
        Self::Overview,
        Self::Ranking,
        Self::FleetDay,
        Self::RegionDay,
        Self::NodeDay,
        Self::NodeHour,
        Self::NodeHeatmap,
        Self::FleetHeatmap,
        Self::Raw,
        Self::Ledger,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Table => "table of all nodes",
            Self::Overview => "fleet overview, last hour",
            Self::Ranking => "every node summed up, last hour",
            Self::FleetDay => "fleet chart, 24 h",
            Self::RegionDay => "region chart, 24 h",
            Self::NodeDay => "node chart, 24 h",
            Self::NodeHour => "node chart, 1 h",
            Self::NodeHeatmap => "node heatmap, 24 h",
            Self::FleetHeatmap => "fleet heatmap, 24 h",
            Self::Raw => "newest samples of a node",
            Self::Ledger => "ledger of a day",
        }
    }

    /// `number` chooses node and region, and makes the window one that nobody has asked for.
    fn path(self, size: Size, number: u64, novelty: Novelty, now: UnixMicros) -> String {
        let end = match novelty {
            // Never twice the same: the window ends some milliseconds earlier each time.
            Novelty::Fresh => UnixMicros(now.0 - 1_000 * i64::try_from(number % 997).unwrap_or(0)),
            Novelty::Repeated => now.floor_to(60),
        };
        let number = match novelty {
            Novelty::Fresh => number,
            Novelty::Repeated => number % 4,
        };
        let nodes = roster::tagged(TAG, size.query_nodes);
        let node = &nodes[usize::try_from(number.wrapping_mul(7_919)).unwrap_or(0) % nodes.len()];
        let from =
            |span_s: i64| format!("from={}&to={end}", UnixMicros(end.0 - span_s * 1_000_000));
        let (hour, day) = (from(3_600), from(size.query_span_s));
        let (id, region) = (&node.node_id, &node.region);
        match self {
            Self::Table => "/api/nodes".to_owned(),
            Self::Overview => format!("/api/metrics/cluster?{hour}"),
            Self::Ranking => format!("/api/metrics/aggregated?dimension=node&{hour}"),
            Self::FleetDay => format!("/api/metrics/series?{day}"),
            Self::RegionDay => format!("/api/metrics/series?region={region}&{day}"),
            Self::NodeDay => format!("/api/metrics/series?node_id={id}&{day}"),
            Self::NodeHour => format!("/api/metrics/series?node_id={id}&{hour}"),
            Self::NodeHeatmap => format!("/api/metrics/series?node_id={id}&sketch=true&{day}"),
            Self::FleetHeatmap => format!("/api/metrics/series?sketch=true&{day}"),
            Self::Raw => format!("/api/metrics?node_id={id}&limit=100&end_time={end}"),
            Self::Ledger => format!("/api/ledger?limit=200&{day}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    Fresh,
    Repeated,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) ms: f64,
    pub(super) bytes: usize,
}

/// One of each, over an engine that has just started.
pub(super) fn first_answers(stack: &Stack, size: Size) -> Result<Vec<Asked>> {
    let mut connection = Connection::open(stack)?;
    let now = UnixMicros::now();
    Kind::ALL
        .iter()
        .map(|kind| connection.ask(*kind, &kind.path(size, 1, Novelty::Fresh, now)))
        .collect()
}

/// All dashboards for so long.
pub(super) fn ask(
    stack: &Stack,
    size: Size,
    dashboards: usize,
    novelty: Novelty,
    run: Duration,
) -> Result<Vec<Asked>> {
    let until = Instant::now() + run;
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..dashboards)
            .map(|lane| scope.spawn(move || dashboard(stack, size, lane, novelty, until)))
            .collect();
        let mut all = Vec::new();
        for lane in lanes {
            all.extend(lane.join().ok().context("a dashboard panicked")??);
        }
        Ok(all)
    })
}

fn dashboard(
    stack: &Stack,
    size: Size,
    lane: usize,
    novelty: Novelty,
    until: Instant,
) -> Result<Vec<Asked>> {
    let mut connection = Connection::open(stack)?;
    let mut asked = Vec::new();
    // Each starts elsewhere in the mix, so that not all ask the same at once.
    let mut number = lane as u64 * 1_000_003;
    while Instant::now() < until {
        let at = usize::try_from(number).unwrap_or(0) % Kind::ALL.len();
        let kind = Kind::ALL[at];
        let path = kind.path(size, number, novelty, UnixMicros::now());
        asked.push(connection.ask(kind, &path)?);
        number += 1;
        std::thread::sleep(PAUSE);
    }
    Ok(asked)
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(stack: &Stack) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", stack.engine.port()))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self(BufReader::with_capacity(256 * 1024, stream)))
    }

    fn ask(&mut self, kind: Kind, path: &str) -> Result<Asked> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: engine\r\n\r\n");
        let began = Instant::now();
        self.0.get_mut().write_all(request.as_bytes())?;
        let (status, length) = self.head()?;
        let read = std::io::copy(&mut (&mut self.0).take(length), &mut std::io::sink())?;
        let ms = began.elapsed().as_secs_f64() * 1e3;
        ensure!(status == 200 && read == length, "{path}: {status}");
        Ok(Asked {
            kind,
            ms,
            bytes: usize::try_from(length)?,
        })
    }

    fn head(&mut self) -> Result<(u16, u64)> {
        let (mut line, mut status, mut length) = (String::new(), None, None);
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            match (status, line.split_once(": ")) {
                (None, _) => status = line.split(' ').nth(1).and_then(|word| word.parse().ok()),
                (_, Some((name, value))) if name.eq_ignore_ascii_case("content-length") => {
                    length = Some(value.trim().parse()?);
                }
                _ => {}
            }
        }
        Ok((status.context("no status")?, length.context("no length")?))
    }
}
