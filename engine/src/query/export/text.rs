//! What is read, and the line above it.

use crate::publish::rollup::LEVELS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Raw,
    /// An index of `LEVELS`.
    Rollup(usize),
}

/// Series after series, each in the order of time, which is the order of the index: nothing is
/// sorted, and the first rows come at once. `OFFSET 0` keeps the planner from turning it around.
/// $1 node, $2 region, $3 country, each or NULL; $4 from; $5 to (exclusive).
macro_rules! per_series {
    ($columns:literal, $table:literal, $time:literal, $names_first:literal, $names_last:literal) => {
        concat!(
            "SELECT ",
            $names_first,
            $columns,
            $names_last,
            " FROM (
                SELECT s.series_key, n.node_id, n.country, n.region, s.target_host, s.probe_type
                FROM series s JOIN nodes n USING (node_key)
                WHERE ($1::int8 IS NULL OR n.node_key = $1)
                  AND ($2::text IS NULL OR n.region = $2)
                  AND ($3::text IS NULL OR n.country = $3)
                ORDER BY n.node_id COLLATE \"C\", s.target_host, s.probe_type
                OFFSET 0
            ) s
            CROSS JOIN LATERAL (
                SELECT * FROM ",
            $table,
            " r WHERE r.series_key = s.series_key AND r.",
            $time,
            " >= $4 AND r.",
            $time,
            " < $5 ORDER BY r.",
            $time,
            " OFFSET 0
            ) r"
        )
    };
}

macro_rules! rollup {
    ($table:literal) => {
        per_series!(
            "r.bucket, r.count, r.latency_count, r.latency_sum, r.latency_min, r.latency_max,
             r.loss_sum, r.uptime_sum, r.sketch",
            $table,
            "bucket",
            "",
            ", s.node_id, s.country, s.region, s.target_host, s.probe_type"
        )
    };
}

const RAW: &str = per_series!(
    ", r.latency_ms, r.uptime_pct, r.packet_loss",
    "metrics",
    "\"time\"",
    "r.\"time\", s.node_id, s.country, s.region, s.target_host, s.probe_type",
    ""
);

/// In the order of `LEVELS`.
const ROLLUPS: [&str; LEVELS.len()] = [
    rollup!("rollup_1m"),
    rollup!("rollup_1h"),
    rollup!("rollup_1d"),
];

impl Source {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Rollup(0) => "1m",
            Self::Rollup(1) => "1h",
            Self::Rollup(_) => "1d",
        }
    }

    pub(super) const fn query(self) -> &'static str {
        match self {
            Self::Raw => RAW,
            Self::Rollup(level) => ROLLUPS[level],
        }
    }

    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::Raw => {
                "time,node_id,country,region,target_host,probe_type,latency_ms,uptime_pct,packet_loss\r\n"
            }
            Self::Rollup(_) => {
                "time,node_id,country,region,target_host,probe_type,count,min_ms,avg_ms,p50_ms,p90_ms,\
                 p95_ms,p99_ms,max_ms,packet_loss,uptime_pct\r\n"
            }
        }
    }
}
