//! What the contract asks of a probe, and the numbers of its path.

use super::Written;
use crate::workload::cities::{self, City};
use crate::workload::path::PathModel;
use crate::workload::roster::{self, ProbeIdentity};
use fiber_contract::limits;

/// The probe with what a known city fills in, or everything that is wrong with it.
pub(super) fn check(mut written: Written) -> Result<ProbeIdentity, Vec<String>> {
    let known: Option<&City> = written.city.as_deref().and_then(cities::find);
    if let Some(city) = known {
        written.city = Some(city.name.to_owned());
        written
            .country
            .get_or_insert_with(|| city.country.to_owned());
        written
            .region
            .get_or_insert_with(|| roster::zone(city).to_owned());
    }
    let mut wrong = wrong_names(&written);
    wrong.extend(wrong_numbers(&written));
    if wrong.is_empty() {
        Ok(probe(written, known))
    } else {
        Err(wrong)
    }
}

fn wrong_names(written: &Written) -> Vec<String> {
    let mut wrong = Vec::new();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    let id = &written.node_id;
    if id.is_empty() || id.len() > limits::NODE_ID_BYTES_MAX || !id.bytes().all(allowed) {
        wrong.push(format!("node_id must be 1 to 64 of [A-Za-z0-9._:-]: {id}"));
    }
    match &written.country {
        Some(code) if code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()) => {}
        Some(code) => wrong.push(format!("country must be two letters A-Z: {code}")),
        None => wrong.push("country is missing, and no known city tells it".to_owned()),
    }
    match &written.region {
        Some(name) if (1..=limits::REGION_CHARS_MAX).contains(&name.chars().count()) => {}
        Some(_) => wrong.push("region must have 1 to 100 characters".to_owned()),
        None => wrong.push("region is missing, and no known city tells it".to_owned()),
    }
    for (name, text, most) in [
        (
            "target_host",
            &written.target_host,
            limits::TARGET_HOST_BYTES_MAX,
        ),
        (
            "probe_type",
            &written.probe_type,
            limits::PROBE_TYPE_BYTES_MAX,
        ),
    ] {
        let is_bad = |text: &String| text.len() > most || text.contains(char::is_control);
        if text.as_ref().is_some_and(is_bad) {
            wrong.push(format!("{name} must be text of at most {most} bytes"));
        }
    }
    wrong
}

fn wrong_numbers(written: &Written) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, value, least, most) in [
        ("lat", written.lat, -90.0, 90.0),
        ("lng", written.lng, -180.0, 180.0),
        ("rtt_ms", written.rtt_ms, 0.0, limits::LATENCY_MS_MAX),
        ("jitter_ms", written.jitter_ms, 0.0, limits::LATENCY_MS_MAX),
        ("loss_pct", written.loss_pct, 0.0, 100.0),
        ("outage_pct", written.outage_pct, 0.0, 100.0),
    ] {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            wrong.push(format!("{name} must be from {least} to {most}"));
        }
    }
    wrong
}

/// A cut lasts a dozen rounds.
pub(super) const CUT_ROUNDS: f64 = 12.0;

fn probe(written: Written, known: Option<&City>) -> ProbeIdentity {
    let place = written.lat.zip(written.lng);
    let place = place.or(known.map(|city| (city.lat, city.lng)));
    let (hub, km) = cities::nearest_hub(place.unwrap_or((0.0, 0.0)));
    let mut path = match place {
        Some((_, lng)) => {
            let detour = known.map_or(1.3, |city| city.detour);
            PathModel::of_distance(km, detour, 5.0, lng)
        }
        None => PathModel::of_distance(0.0, 1.0, 30.0, 0.0),
    };
    if let Some(rtt_ms) = written.rtt_ms {
        path.rtt_ms = rtt_ms;
        path.jitter_ms = 1.0 + rtt_ms * 0.03;
    }
    path.jitter_ms = written.jitter_ms.unwrap_or(path.jitter_ms);
    path.loss_pct = written.loss_pct.unwrap_or(path.loss_pct);
    let outage = written.outage_pct;
    path.outage = outage.map_or(path.outage, |percent| percent / 100.0 / CUT_ROUNDS);
    let (lat, lng) = place.unwrap_or((0.0, 0.0));
    ProbeIdentity {
        node_id: written.node_id,
        country: written.country.unwrap_or_default(),
        region: written.region.unwrap_or_default(),
        city: written.city.unwrap_or_default(),
        lat,
        lng,
        target_host: written.target_host.unwrap_or_else(|| hub.host.to_owned()),
        probe_type: written.probe_type.unwrap_or_else(|| "tcp".to_owned()),
        tags: written.tags,
        path,
    }
}
