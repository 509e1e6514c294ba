//! Where probes push: `POST /api/probe/heartbeat` and `GET /api/federation/status`.
//!
//! In memory, bounded, and told to Redis in the background (`fiber:probe:state:<node>`, which
//! expires by itself), so that nothing here waits for Redis. A probe says `primary`, `failover` or
//! `degraded`; a host of its own is neither of its two targets, and counts as degraded. Who was not
//! heard for `FRESH_S` is unknown, by the engine's clock: the probe's may be wrong by hours.
//!
//! It does not outlive the engine: a restart knows each probe again with its next heartbeat.

use super::context::Context;
use super::error::Error;
use super::params::is_node_id;
use super::respond::{Body, answer};
use crate::auth::Denied;
use fiber_contract::UnixMicros;
use fiber_contract::limits::{CLOCK_AHEAD_MAX_S, TARGET_HOST_BYTES_MAX};
use fiber_contract::query::Meta;
use fiber_contract::summary::{FederationStatus, Heartbeat, ProbeTarget, TargetState};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) const STATE_KEY_PREFIX: &str = "fiber:probe:state:";
/// Three heartbeats of a probe that reports twice a minute.
pub(crate) const FRESH_S: i64 = 90;
const BODY_BYTES_MAX: usize = 4 * 1024;
const BODY_DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);
/// Some 200 bytes each; more probes than one engine serves.
const PROBES_MAX: usize = 20_000;
/// Told to Redis in one turn, which has one deadline.
const UNTOLD_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub struct Federation(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    probes: BTreeMap<String, Report>,
    untold: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) node_id: String,
    active_target: String,
    /// By the probe's clock.
    reported_at: UnixMicros,
    received_at: UnixMicros,
}

impl Report {
    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({
            "state": self.state(self.received_at),
            "active_target": self.active_target,
            "reported_at": self.reported_at.to_string(),
        })
        .to_string()
    }

    fn is_fresh(&self, now: UnixMicros) -> bool {
        now.secs_since(self.received_at) <= FRESH_S as f64
    }

    fn state(&self, now: UnixMicros) -> TargetState {
        if !self.is_fresh(now) {
            return TargetState::Unknown;
        }
        match self.active_target.as_str() {
            "primary" => TargetState::Primary,
            "failover" => TargetState::Failover,
            _ => TargetState::Degraded,
        }
    }
}

impl Federation {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False when there is no room, even without the ones that fell silent.
    fn report(&self, report: Report, now: UnixMicros) -> bool {
        let mut state = self.lock();
        let known = state.probes.get(&report.node_id);
        // One that was overtaken by a newer one says nothing new. But a probe whose clock was set
        // back is heard again once its last report is old.
        let newer = |known: &Report| known.reported_at > report.reported_at && known.is_fresh(now);
        if known.is_some_and(newer) {
            return true;
        }
        if known.is_none() && state.probes.len() >= PROBES_MAX {
            state.probes.retain(|_, known| known.is_fresh(now));
            let State { probes, untold } = &mut *state;
            untold.retain(|node_id| probes.contains_key(node_id));
            if state.probes.len() >= PROBES_MAX {
                return false;
            }
        }
        state.untold.insert(report.node_id.clone());
        state.probes.insert(report.node_id.clone(), report);
        true
    }

    /// What Redis was not told yet.
    pub(crate) fn take_untold(&self) -> Vec<Report> {
        let mut state = self.lock();
        let some: Vec<String> = state.untold.iter().take(UNTOLD_MAX).cloned().collect();
        for node_id in &some {
            state.untold.remove(node_id);
        }
        some.iter()
            .filter_map(|node_id| state.probes.get(node_id).cloned())
            .collect()
    }

    /// All of `registered`, and those that report and never sent a sample.
    fn status(&self, registered: Vec<String>, now: UnixMicros) -> FederationStatus {
        let mut probes: BTreeMap<String, ProbeTarget> = BTreeMap::new();
        for node_id in registered {
            let silent = ProbeTarget {
                node_id: node_id.clone(),
                state: TargetState::Unknown,
                active_target: None,
                reported_at: None,
            };
            probes.insert(node_id, silent);
        }
        for report in self.lock().probes.values() {
            let target = ProbeTarget {
                node_id: report.node_id.clone(),
                state: report.state(now),
                active_target: Some(report.active_target.clone()),
                reported_at: Some(report.reported_at),
            };
            probes.insert(report.node_id.clone(), target);
        }
        let mut status = FederationStatus::default();
        for probe in probes.values() {
            let count = match probe.state {
                TargetState::Primary => &mut status.primary,
                TargetState::Failover => &mut status.failover,
                TargetState::Degraded => &mut status.degraded,
                TargetState::Unknown => &mut status.unknown,
            };
            *count += 1;
        }
        status.probes = probes.into_values().collect();
        status
    }
}

fn live() -> Meta {
    Meta {
        source: "live".to_owned(),
        next_cursor: None,
    }
}

pub(super) fn status(context: &Context) -> Result<Response<Body>, Error> {
    let registered = context.live.nodes().into_iter().map(|node| node.node_id);
    let status = context
        .federation
        .status(registered.collect(), UnixMicros::now());
    answer(status, live())
}

pub(super) async fn heartbeat(
    context: &Context,
    request: Request<Incoming>,
) -> Result<Response<Body>, Error> {
    let principal = context.authorizer.asker(request.headers())?;
    principal.require_push()?;
    let sent = read(request).await?;
    let now = UnixMicros::now();
    let report = judge(sent, now)?;
    if !principal.may_push_for(&report.node_id) {
        return Err(Denied::Forbidden.into());
    }
    let told = ProbeTarget {
        node_id: report.node_id.clone(),
        state: report.state(now),
        active_target: Some(report.active_target.clone()),
        reported_at: Some(report.reported_at),
    };
    if context.federation.report(report, now) {
        answer(told, live())
    } else {
        Err(Error::Busy("as many probes report as the engine remembers"))
    }
}

async fn read(request: Request<Incoming>) -> Result<Heartbeat, Error> {
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let body = match tokio::time::timeout(BODY_DEADLINE, body).await {
        Err(_) => return Err(Error::BodyTooSlow),
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Error::BodyTooLarge {
                limit_bytes: BODY_BYTES_MAX,
            });
        }
        Ok(Err(_)) => return Err(Error::BodyBroken),
    };
    serde_json::from_slice(&body).map_err(|error| Error::BadJson(error.to_string()))
}

fn judge(sent: Heartbeat, now: UnixMicros) -> Result<Report, Error> {
    if !is_node_id(&sent.node_id) {
        return Err(Error::parameter("node_id", "1–64 of A–Z a–z 0–9 . _ : -"));
    }
    let target = &sent.active_target;
    let is_target = (1..=TARGET_HOST_BYTES_MAX).contains(&target.len())
        && !target.chars().any(char::is_control);
    if !is_target {
        let reason = format!("1 to {TARGET_HOST_BYTES_MAX} bytes without control characters");
        return Err(Error::parameter("active_target", reason));
    }
    let reported_at = match sent.timestamp.as_deref().map(UnixMicros::parse) {
        None => now,
        Some(Ok(at)) => at,
        Some(Err(error)) => return Err(Error::parameter("timestamp", error.to_string())),
    };
    let ahead_s = reported_at.secs_since(now);
    if ahead_s > CLOCK_AHEAD_MAX_S as f64 {
        return Err(Error::parameter("timestamp", "more than 5 minutes ahead"));
    }
    Ok(Report {
        node_id: sent.node_id,
        active_target: sent.active_target,
        // A clock that runs ahead must not outrank the reports that come after it.
        reported_at: reported_at.min(now),
        received_at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_795_460_400_000_000);

    fn sent(target: &str, timestamp: Option<&str>) -> Heartbeat {
        Heartbeat {
            node_id: "a".to_owned(),
            active_target: target.to_owned(),
            timestamp: timestamp.map(str::to_owned),
        }
    }

    fn later(seconds: i64) -> UnixMicros {
        UnixMicros(NOW.0 + seconds * 1_000_000)
    }

    #[test]
    fn a_report_lasts_a_while_and_then_nothing_is_known() {
        let federation = Federation::default();
        assert!(federation.report(judge(sent("failover", None), NOW).unwrap(), NOW));
        let counts = |at| {
            let status = federation.status(vec!["b".to_owned()], at);
            (status.failover, status.unknown)
        };
        assert_eq!(counts(NOW), (1, 1));
        assert_eq!(counts(later(FRESH_S)), (1, 1));
        assert_eq!(counts(later(FRESH_S + 1)), (0, 2));
    }

    #[test]
    fn a_slow_clock_is_no_silence_and_one_set_back_is_heard_again() {
        let federation = Federation::default();
        let hour_ago = later(-3_600).to_string();
        federation.report(judge(sent("primary", None), NOW).unwrap(), NOW);
        let mut at = NOW;
        for _ in 0..=FRESH_S / 30 {
            at = UnixMicros(at.0 + 30_000_000);
            federation.report(judge(sent("failover", Some(&hour_ago)), at).unwrap(), at);
        }
        let status = federation.status(Vec::new(), at);
        assert_eq!((status.failover, status.unknown), (1, 0));
        assert_eq!(status.probes[0].reported_at, Some(later(-3_600)));
    }

    #[test]
    fn the_silent_make_room_and_a_full_house_refuses() {
        let federation = Federation::default();
        let named = |number: usize, at| {
            let mut heartbeat = sent("primary", None);
            heartbeat.node_id = format!("n{number}");
            federation.report(judge(heartbeat, at).unwrap(), at)
        };
        assert!((0..PROBES_MAX).all(|number| named(number, NOW)));
        assert!(!named(PROBES_MAX, later(1)), "all are fresh");
        assert!(named(7, later(2)), "a known one needs no room");
        assert!(named(PROBES_MAX, later(FRESH_S + 1)));
        assert_eq!(
            federation
                .status(Vec::new(), later(FRESH_S + 1))
                .probes
                .len(),
            2
        );
        assert_eq!(federation.take_untold().len(), 2);
    }

    #[test]
    fn an_overtaken_report_changes_nothing_and_redis_hears_each_once() {
        let federation = Federation::default();
        federation.report(judge(sent("primary", None), later(5)).unwrap(), later(5));
        federation.report(judge(sent("failover", None), NOW).unwrap(), later(6));
        assert_eq!(federation.status(Vec::new(), later(6)).primary, 1);
        assert_eq!(federation.take_untold().len(), 1);
        assert!(federation.take_untold().is_empty());
    }

    #[test]
    fn a_bad_report_is_refused_by_field_and_a_fast_clock_gains_nothing() {
        for (heartbeat, name) in [
            (sent("", None), "active_target"),
            (sent("a\nb", None), "active_target"),
            (sent("primary", Some("noon")), "timestamp"),
            (sent("primary", Some("2026-11-24T00:00:00Z")), "timestamp"),
        ] {
            let error = judge(heartbeat, NOW).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        let fast = sent("primary", Some(&later(200).to_string()));
        assert_eq!(judge(fast, NOW).unwrap().reported_at, NOW);
    }
}
