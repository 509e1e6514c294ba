//! How the contract's types are read. A new field of an answer gets its name added here; the
//! compiler asks for it.

use fiber_contract::access::{IssuedKey, KeyView, Me, Role, UserView};
use fiber_contract::account::{LedgerAnswer, LedgerCounts, LedgerNow, LedgerRow, Receipt, Refusal};
use fiber_contract::live::{LiveChange, LiveSnapshot, LiveTotals, NodeChange};
use fiber_contract::query::{Answer, Gap, Meta, SeriesAnswer, SeriesPoint, StepSketch};
use fiber_contract::status::{Component, EtlStatus, JournalStatus, Status};
use fiber_contract::summary::{
    AggregateRow, AggregatedAnswer, FederationStatus, ProbeTarget, TargetState,
};
use fiber_contract::{NodeState, NodeView};

use super::json::{Bad, Json, Read, read_object};

impl<T: Read> Read for Answer<T> {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        Ok(Self {
            status: json.field("status")?,
            data: json.field("data")?,
            meta: json.field("meta")?,
        })
    }
}

read_object!(Meta { source } or_default { next_cursor });
read_object!(NodeView {
    node_id, country, region, city, lat, lng, tags, state, first_seen, last_seen, interval_s,
    latency_ms, uptime_pct, packet_loss, p50_ms, p95_ms,
} or_default { spark_ms, strip, targets });

read_object!(SeriesAnswer { from, to, step_s, points, gaps } or_default { sketches });
read_object!(SeriesPoint {
    t,
    count,
    min,
    avg,
    p50,
    p90,
    p95,
    p99,
    max,
    loss,
    uptime
});
read_object!(StepSketch { t, bins });
read_object!(Gap { from, to, reason });

read_object!(LiveSnapshot { now, nodes, totals });
read_object!(LiveChange { now, nodes, totals } or_default { added, removed });
read_object!(NodeChange {
    node_id,
    state,
    last_seen,
    latency_ms,
    uptime_pct,
    packet_loss,
    p50_ms,
    p95_ms,
    spark_ms,
    strip,
});
read_object!(LiveTotals {
    received,
    stored,
    duplicate,
    quarantined,
    in_flight,
    rate_per_s,
    lag_s,
});

read_object!(LedgerCounts {
    received,
    stored,
    duplicate,
    quarantined
});
impl Read for LedgerRow {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        Ok(Self {
            node_id: json.field("node_id")?,
            hour: json.field("hour")?,
            // The counts stand beside the other fields.
            counts: LedgerCounts::read(json)?,
        })
    }
}
read_object!(Refusal {
    hour,
    reason,
    requests,
    samples
});
read_object!(LedgerNow {
    journaled,
    stored,
    duplicate,
    quarantined,
    in_flight
});
read_object!(LedgerAnswer {
    from,
    to,
    totals,
    rows,
    refused,
    now
});
read_object!(Receipt {
    batch_id,
    state,
    source_region,
    received_at,
    committed_at,
    accepted,
    rejected,
    journal_id,
    group_seq,
    body_sha256,
    trace_id,
});

read_object!(Component { state } or_default { detail });
read_object!(JournalStatus {
    state,
    bytes,
    bytes_max,
    segments,
    oldest_age_s,
    durable_seq,
    committed_seq,
});
read_object!(EtlStatus { state, lag_s, in_flight } or_default { last_error });
read_object!(Status {
    status,
    version,
    environment,
    role,
    instance,
    uptime_s,
    api,
    database,
    redis,
    search,
    journal,
    etl,
    rate_limit_policy,
    driver,
    ingest_cores,
});

read_object!(FederationStatus {
    primary,
    failover,
    degraded,
    unknown,
    probes
});
read_object!(ProbeTarget {
    node_id,
    state,
    active_target,
    reported_at
});

read_object!(AggregatedAnswer {
    dimension,
    from,
    to,
    rows
});
read_object!(AggregateRow {
    key,
    count,
    avg_ms,
    min_ms,
    max_ms,
    p50_ms,
    p95_ms,
    p99_ms,
    loss,
    uptime,
    reporting,
    nodes,
    downtime_s,
    availability_pct,
});

read_object!(Me {
    name,
    role,
    anonymous
});
read_object!(UserView {
    name,
    role,
    created_at,
    last_login_at,
    disabled
});
read_object!(KeyView {
    key_id,
    node_id,
    created_at,
    expires_at,
    revoked_at
});
read_object!(IssuedKey { view, key });

impl Read for Role {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        let word = json.text()?;
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or(Bad("a role"))
    }
}

impl Read for NodeState {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        let word = json.text()?;
        [Self::Down, Self::Degraded, Self::Unobserved, Self::Up]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or(Bad("a state"))
    }
}

impl Read for TargetState {
    fn read(json: &Json<'_>) -> Result<Self, Bad> {
        match json.text()? {
            "primary" => Ok(Self::Primary),
            "failover" => Ok(Self::Failover),
            "degraded" => Ok(Self::Degraded),
            "unknown" => Ok(Self::Unknown),
            _ => Err(Bad("a target")),
        }
    }
}
