//! The names of the probes of one run.

use super::cities::{CITIES, City, nearest_hub};
use super::path::PathModel;
use std::sync::Arc;

/// Everything about a probe that its samples repeat.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeIdentity {
    pub node_id: String,
    pub country: String,
    pub region: String,
    pub city: String,
    pub lat: f64,
    pub lng: f64,
    pub target_host: String,
    pub probe_type: String,
    pub tags: Vec<String>,
    /// How its path to the target behaves.
    pub path: PathModel,
}

/// Names of a load run: `<tag>-0001`, spread over the cities. The tag keeps runs apart in one
/// database, so each run can be judged alone.
pub fn tagged(tag: &str, probes: u32) -> Arc<[ProbeIdentity]> {
    (0..probes)
        .map(|n| {
            let city = &CITIES[n as usize % CITIES.len()];
            let node_id = format!("{tag}-{:04}", n + 1);
            identity(city, n, node_id, vec!["load".to_owned()])
        })
        .collect()
}

/// Names of the simulated fleet, the same on every start: `accra-01`, and `accra-02` from the
/// sixty-first probe on.
pub fn demo(probes: u32) -> Arc<[ProbeIdentity]> {
    (0..probes)
        .map(|n| {
            let city = &CITIES[n as usize % CITIES.len()];
            let round = n as usize / CITIES.len() + 1;
            identity(
                city,
                n,
                format!("{}-{round:02}", city.slug),
                vec!["demo".to_owned()],
            )
        })
        .collect()
}

fn identity(city: &City, number: u32, node_id: String, mut tags: Vec<String>) -> ProbeIdentity {
    let (hub, _) = nearest_hub((city.lat, city.lng));
    tags.push(zone(city).to_owned());
    ProbeIdentity {
        node_id,
        country: city.country.to_owned(),
        region: zone(city).to_owned(),
        city: city.name.to_owned(),
        lat: city.lat,
        lng: city.lng,
        target_host: hub.host.to_owned(),
        probe_type: "tcp".to_owned(),
        tags,
        path: PathModel::of_city(city, number),
    }
}

/// The part of the continent, as the `region` an operator groups by.
pub fn zone(city: &City) -> &'static str {
    match city.country {
        "EG" | "LY" | "TN" | "DZ" | "MA" | "SD" => "north-africa",
        "GH" | "NG" | "SN" | "CI" | "ML" | "BF" | "TG" | "BJ" | "NE" | "MR" | "CV" | "SL"
        | "LR" | "GN" | "GM" | "GW" => "west-africa",
        "CD" | "CM" | "GA" | "TD" | "CF" | "CG" | "AO" => "central-africa",
        "ZA" | "BW" | "NA" | "ZM" | "ZW" | "MZ" | "MW" => "southern-africa",
        _ => "east-africa",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_within_the_contract() {
        for roster in [tagged("lg00ff12", 2_000), demo(150)] {
            let names: HashSet<_> = roster.iter().map(|p| p.node_id.as_str()).collect();
            assert_eq!(names.len(), roster.len());
            for name in names {
                assert!(name.len() <= fiber_contract::limits::NODE_ID_BYTES_MAX);
                assert!(
                    name.bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
                );
            }
        }
        assert_eq!(demo(61)[60].node_id, "accra-02");
    }
}
