//! `/metrics`: everything that is counted, added up when somebody looks. No label names a node: a
//! fleet of thousands belongs into the database, not into Prometheus.

use super::process::Process;
use super::prometheus::{Exposition, Kind, Labelled};
use crate::journal::Stats;
use crate::query::Context;
use crate::query::respond::{Body, whole};
use crate::telemetry::metrics::{CopyCounters, Metrics, REFUSED_STATUS};
use bytes::Bytes;
use fiber_contract::NodeState;
use fiber_contract::live::LiveTotals;
use fiber_contract::status::{EtlStatus, JournalStatus};
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// One metric, for the API's description.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) help: String,
}

/// What a scrape holds.
pub(crate) fn families(context: &Context) -> Vec<Family> {
    let text = text(context);
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let family = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '));
        let kind = family.and_then(|_| lines.next()?.rsplit_once(' '));
        if let (Some((name, help)), Some((_, kind))) = (family, kind) {
            let [name, kind, help] = [name, kind, help].map(str::to_owned);
            found.push(Family { name, kind, help });
        }
    }
    found
}

pub(crate) fn answer(context: &Context) -> Response<Body> {
    whole(StatusCode::OK, TEXT, Bytes::from(text(context)))
}

fn text(context: &Context) -> String {
    let mut out = Exposition::default();
    process(&mut out, context);
    ingest(&mut out, &context.metrics);
    copy(&mut out, &context.metrics.copy);
    journal(&mut out, &context.journal.get());
    if let Some(stats) = context.metrics.journal.get() {
        groups(&mut out, stats);
    }
    live(&mut out, &context.live.totals(), &context.live.states());
    out.gauge(
        "fiber_live_watchers",
        "Browsers on the live stream.",
        context.live.watchers(),
    );
    out.counter(
        "fiber_auth_previous_secret_total",
        "Tokens that were FEDERATION_SECRET_PREVIOUS.",
        context.authorizer.previous_secret_uses(),
    );
    components(&mut out, context, &context.etl.get());
    out.into_text()
}

fn process(out: &mut Exposition, context: &Context) {
    let (version, driver) = (env!("CARGO_PKG_VERSION"), context.driver);
    let labels: &[_] = &[
        ("version", version),
        ("driver", driver),
        ("role", context.config.role.as_str()),
    ];
    out.family(
        "fiber_info",
        "What runs; the value is always 1.",
        Kind::Gauge,
        &[(labels, &1)],
    );
    let started = context.started_at.as_secs_f64();
    out.gauge(
        "fiber_start_time_seconds",
        "When the process started, since 1970.",
        started,
    );
    let process = Process::now();
    out.gauge(
        "fiber_process_resident_bytes",
        "Memory in RAM.",
        process.resident_bytes,
    );
    out.counter(
        "fiber_process_cpu_seconds_total",
        "CPU time used.",
        process.cpu_seconds,
    );
    out.gauge(
        "fiber_process_open_fds",
        "Open file descriptors.",
        process.open_fds,
    );
    out.gauge("fiber_process_threads", "Threads.", process.threads);
    out.gauge(
        "fiber_ingest_cores",
        "Cores that ingest.",
        context.config.ingest_cores,
    );
}

fn ingest(out: &mut Exposition, metrics: &Metrics) {
    let requests = metrics.sum(|core| &core.requests);
    out.counter(
        "fiber_ingest_requests_total",
        "Requests to the ingest routes.",
        requests,
    );
    let opened = metrics.sum(|core| &core.connections_opened);
    out.counter(
        "fiber_ingest_connections_opened_total",
        "Connections accepted.",
        opened,
    );
    let open: i64 = metrics
        .ingest
        .iter()
        .map(|core| core.connections_open.get())
        .sum();
    out.gauge(
        "fiber_ingest_connections_open",
        "Connections on the ingest cores.",
        open,
    );
    let bytes = metrics.sum(|core| &core.body_bytes);
    out.counter(
        "fiber_ingest_body_bytes_total",
        "Bytes of request bodies.",
        bytes,
    );
    let received = metrics.sum(|core| &core.samples_received);
    out.counter(
        "fiber_samples_received_total",
        "Samples made durable and acknowledged.",
        received,
    );
    let rejected = metrics.sum(|core| &core.samples_rejected);
    out.counter(
        "fiber_samples_rejected_total",
        "Samples refused one by one.",
        rejected,
    );
    let names = REFUSED_STATUS.map(|status| match status {
        0 => "other".to_owned(),
        status => status.to_string(),
    });
    let counts: Vec<u64> = (0..names.len())
        .map(|at| metrics.sum(|core| &core.refused[at]))
        .collect();
    let labels: Vec<_> = names
        .iter()
        .map(|name| [("status", name.as_str())])
        .collect();
    let samples: Vec<Labelled<'_>> = labels
        .iter()
        .zip(&counts)
        .map(|(label, count)| (label.as_slice(), count as _))
        .collect();
    let help = "Requests refused, by HTTP status.";
    out.family("fiber_ingest_refused_total", help, Kind::Counter, &samples);
    out.counter(
        "fiber_ingest_refused_by_share_total",
        "Requests refused because their probe has its share of an overloaded engine.",
        metrics.sum(|core| &core.refused_by_share),
    );
    refusals(out, metrics);
}

fn refusals(out: &mut Exposition, metrics: &Metrics) {
    let all = metrics.refusals();
    let labels: Vec<_> = all.iter().map(|one| [("reason", one.reason)]).collect();
    let both = || labels.iter().zip(&all);
    let requests: Vec<Labelled<'_>> = both()
        .filter(|(_, one)| one.requests > 0)
        .map(|(label, one)| (label.as_slice(), &one.requests as _))
        .collect();
    let help = "Requests refused, by error code.";
    out.family(
        "fiber_requests_refused_total",
        help,
        Kind::Counter,
        &requests,
    );
    let samples: Vec<Labelled<'_>> = both()
        .filter(|(_, one)| one.samples > 0)
        .map(|(label, one)| (label.as_slice(), &one.samples as _))
        .collect();
    let help = "Samples refused, by the field at fault.";
    out.family("fiber_samples_refused_total", help, Kind::Counter, &samples);
}

fn copy(out: &mut Exposition, copy: &CopyCounters) {
    out.counter(
        "fiber_samples_replayed_total",
        "Samples found in the journal at start.",
        copy.replayed.get(),
    );
    out.counter(
        "fiber_samples_stored_total",
        "Rows written to the tables.",
        copy.stored.get(),
    );
    out.counter(
        "fiber_samples_duplicate_total",
        "Samples that were there already.",
        copy.duplicate.get(),
    );
    out.counter(
        "fiber_samples_quarantined_total",
        "Samples the database refused.",
        copy.quarantined.get(),
    );
    out.counter(
        "fiber_copy_transactions_total",
        "Batches committed, each in one transaction a writer.",
        copy.transactions.get(),
    );
    out.counter(
        "fiber_copy_retries_total",
        "Transactions tried again.",
        copy.retries.get(),
    );
    out.counter(
        "fiber_copy_exact_path_rows_total",
        "Rows compared one by one.",
        copy.exact_path_rows.get(),
    );
    out.gauge(
        "fiber_copy_committed_seq",
        "Last journal group in the tables.",
        copy.committed_seq.get(),
    );
    out.histogram(
        "fiber_copy_commit_seconds",
        "One batch, from BEGIN to the last confirmed COMMIT of its writers.",
        &copy.commit,
    );
    out.gauge(
        "fiber_copy_rows_max",
        "Rows that a transaction may have, as the database's pace allows.",
        copy.rows_max.get(),
    );
    out.gauge(
        "fiber_copy_writers",
        "Sessions that share the nodes of a batch; more than one when the database is what binds.",
        copy.writers.get(),
    );
    out.gauge(
        "fiber_copy_connected",
        "1 while the writer has a session.",
        copy.connected.get(),
    );
}

fn journal(out: &mut Exposition, journal: &JournalStatus) {
    out.gauge("fiber_journal_bytes", "Bytes on disk.", journal.bytes);
    out.gauge(
        "fiber_journal_bytes_max",
        "Bytes at which pushes get 503.",
        journal.bytes_max,
    );
    out.gauge("fiber_journal_segments", "Segment files.", journal.segments);
    out.gauge(
        "fiber_journal_oldest_age_seconds",
        "Age of the oldest group that the tables do not hold.",
        journal.oldest_age_s,
    );
    out.gauge(
        "fiber_journal_durable_seq",
        "Last durable group.",
        journal.durable_seq,
    );
    out.gauge(
        "fiber_journal_ok",
        "1 while the journal takes records.",
        u8::from(journal.state == "ok"),
    );
}

fn groups(out: &mut Exposition, stats: &Stats) {
    out.counter(
        "fiber_journal_groups_total",
        "Groups made durable, one fdatasync each.",
        stats.groups_written(),
    );
    out.counter(
        "fiber_journal_records_total",
        "Records in them, one per request.",
        stats.records_written(),
    );
    out.counter(
        "fiber_journal_written_bytes_total",
        "Bytes of them.",
        stats.bytes_written(),
    );
    out.histogram(
        "fiber_journal_commit_seconds",
        "Write and fdatasync of one group.",
        stats.commit_latency(),
    );
    out.counter(
        "fiber_journal_handoffs_skipped_total",
        "Groups that the writer reads from disk because it was behind.",
        stats.groups_not_handed_over(),
    );
    out.counter(
        "fiber_journal_groups_lost_total",
        "Groups that the last start found destroyed.",
        stats.groups_lost(),
    );
    out.gauge(
        "fiber_journal_queued_bytes",
        "Bytes of records that wait for their fdatasync.",
        stats.queued_bytes(),
    );
}

fn live(out: &mut Exposition, totals: &LiveTotals, states: &[(NodeState, usize)]) {
    out.gauge(
        "fiber_samples_in_flight",
        "Durable and not yet in the tables.",
        totals.in_flight,
    );
    out.gauge(
        "fiber_commit_rate",
        "Samples committed in the last second.",
        totals.rate_per_s,
    );
    let labels: Vec<_> = states
        .iter()
        .map(|(state, _)| [("state", state.as_str())])
        .collect();
    let samples: Vec<Labelled<'_>> = labels
        .iter()
        .zip(states)
        .map(|(label, (_, count))| (label.as_slice(), count as _))
        .collect();
    out.family(
        "fiber_nodes",
        "Nodes of the fleet, by state.",
        Kind::Gauge,
        &samples,
    );
}

fn components(out: &mut Exposition, context: &Context, etl: &EtlStatus) {
    out.gauge(
        "fiber_etl_lag_seconds",
        "Age of the oldest sample not yet committed.",
        etl.lag_s,
    );
    out.gauge(
        "fiber_etl_running",
        "1 while the writer commits.",
        u8::from(etl.state == "running"),
    );
    let database = u8::from(context.health.database().state == "up");
    out.gauge(
        "fiber_database_up",
        "1 while the database answers.",
        database,
    );
    let redis = context.coordination.component();
    let configured = u8::from(redis.state != "off");
    out.gauge(
        "fiber_redis_configured",
        "1 when there is a Redis to use.",
        configured,
    );
    out.gauge(
        "fiber_redis_up",
        "1 while Redis answers in time.",
        u8::from(redis.state == "up"),
    );
    let changes = context.coordination.outages();
    out.counter(
        "fiber_redis_outages_total",
        "Times that Redis stopped answering.",
        changes,
    );
    out.counter(
        "fiber_query_kept_total",
        "Answers over many nodes that were kept or shared, and not asked for again.",
        context.kept.hits.get(),
    );
    out.counter(
        "fiber_query_fallback_total",
        "Queries that went to the writer's host because the read host was away.",
        context.read_host.fallbacks.get(),
    );
    let pool = context.pool.status();
    out.gauge(
        "fiber_query_connections",
        "Database connections of the queries.",
        pool.size,
    );
    out.gauge(
        "fiber_query_waiting",
        "Queries that wait for a connection.",
        pool.waiting,
    );
}

#[cfg(test)]
mod tests {
    use super::super::prometheus::tests::judge;
    use super::*;

    #[test]
    fn the_counters_are_valid_text_and_add_up_over_the_cores() {
        let metrics = Metrics::new(2);
        metrics.ingest[0].samples_received.add(5);
        metrics.ingest[2].samples_received.add(7);
        metrics.ingest[1].refuse(fiber_contract::ErrorCode::RateLimited);
        metrics.ingest[1].refuse(fiber_contract::ErrorCode::UriTooLong);
        let mut out = Exposition::default();
        ingest(&mut out, &metrics);
        copy(&mut out, &metrics.copy);
        live(
            &mut out,
            &LiveTotals::default(),
            &[(NodeState::Up, 3), (NodeState::Down, 1)],
        );
        let text = out.into_text();
        assert!(judge(&text).is_ok(), "{:?}", judge(&text));
        for line in [
            "fiber_samples_received_total 12\n",
            "fiber_ingest_refused_total{status=\"429\"} 1\n",
            "fiber_ingest_refused_total{status=\"other\"} 1\n",
            "fiber_nodes{state=\"up\"} 3\n",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
    }
}
