use super::*;
use crate::workload::roster;

fn mistakes(text: &str, is_json: bool) -> Vec<(usize, String)> {
    let found = parse(text, is_json).unwrap_err();
    found.into_iter().map(|m| (m.line, m.what)).collect()
}

fn expect(got: &[(usize, String)], expect: &[(usize, &str)]) {
    assert_eq!(got.len(), expect.len(), "{got:?}");
    for ((line, what), (at, part)) in got.iter().zip(expect) {
        assert!(
            line == at && what.contains(part),
            "{got:?}: not {part} in line {at}"
        );
    }
}

#[test]
fn a_known_city_fills_in_what_is_left_out() {
    let fleet = parse("node_id,city\na-1,Accra\n# later\n\na-2,lomé\n", false).unwrap();
    let ids: Vec<_> = fleet
        .iter()
        .map(|p| (p.node_id.as_str(), p.country.as_str()))
        .collect();
    assert_eq!(ids, [("a-1", "GH"), ("a-2", "TG")]);
    assert_eq!(
        (fleet[0].region.as_str(), fleet[0].lat),
        ("west-africa", 5.6037)
    );
    assert!(fleet[0].path.km > 300.0 && fleet[0].path.rtt_ms > 5.0);
}

#[test]
fn numbers_of_the_path_win_over_the_distance() {
    let text = "lng,lat,node_id,country,region,rtt_ms,loss_pct,tags,target_host\n\
                2.35,48.86,paris-1,FR,\"Île-de-France, Paris\",42.5,70,a; b,\"say \"\"hi\"\"\"\n";
    let fleet = parse(text, false).unwrap();
    let probe = &fleet[0];
    assert_eq!(probe.region, "Île-de-France, Paris");
    assert_eq!(probe.target_host, "say \"hi\"");
    assert_eq!((probe.path.rtt_ms, probe.path.loss_pct), (42.5, 70.0));
    assert_eq!(probe.tags, ["a", "b"]);
}

#[test]
fn every_mistake_of_a_table_is_told_with_its_line() {
    let text = "node_id,country,region,lat,loss_pct\n\
                good-1,GH,Accra,5.6,1\n\
                bad id,GH,Accra,5.6,1\n\
                good-1,GH,Accra,5.6,1\n\
                x,gh,Accra,95,101\n\
                y,GH,Accra,north,\n\
                z,GH,Accra\n\
                w,\"GH,Accra,1,1\n\
                v,,,,\n";
    expect(
        &mistakes(text, false),
        &[
            (3, "node_id must be 1 to 64"),
            (4, "is in line 2 already"),
            (5, "country must be two letters A-Z: gh"),
            (5, "lat must be from -90 to 90"),
            (5, "loss_pct must be from 0 to 100"),
            (6, "lat is not a number: north"),
            (7, "3 cells under 5 columns"),
            (8, "a quoted cell does not end"),
            (9, "country is missing"),
            (9, "region is missing"),
        ],
    );
    expect(&mistakes("a,b\n1,2\n", false), &[(1, "node_id among them")]);
    expect(
        &mistakes("node_id,speed,city\nq,1,Accra\n", false),
        &[(1, "no column speed")],
    );
    expect(&mistakes("", false), &[(1, "no probe")]);
}

#[test]
fn every_mistake_of_a_json_array_is_told_with_its_line() {
    let text = "[\n  {\"node_id\": \"a\", \"city\": \"Accra\"},\n  {\"node_id\": \"b\",\n   \
                \"city\": \"Accra\", \"lat\": \"x\"},\n  {\"node_id\": \"c\", \"city\": \"]}\\\"\"},\n  \
                {\"node_id\": \"d\", \"city\": \"Accra\", \"speed\": 1}\n]";
    expect(
        &mistakes(text, true),
        &[
            (4, "invalid type"),
            (5, "country is missing"),
            (5, "region is missing"),
            (6, "unknown field `speed`"),
        ],
    );
    expect(
        &mistakes("[\n{\"node_id\": 1,}\n]", true),
        &[(2, "not an array")],
    );
    expect(
        &mistakes("{\"node_id\": \"a\"}", true),
        &[(1, "not an array")],
    );
}

#[test]
fn a_generated_fleet_reads_back_from_both_forms() {
    let fleet = roster::tagged("t", 70);
    for (text, is_json) in [(to_csv(&fleet), false), (to_json(&fleet), true)] {
        let again = parse(&text, is_json).unwrap();
        assert_eq!(again.len(), 70);
        for (a, b) in fleet.iter().zip(again.iter()) {
            assert_eq!(
                (&a.node_id, &a.city, &a.tags),
                (&b.node_id, &b.city, &b.tags)
            );
            assert_eq!(
                (a.lat, a.lng, &a.target_host),
                (b.lat, b.lng, &b.target_host)
            );
            assert!((a.path.rtt_ms - b.path.rtt_ms).abs() < 0.001);
            assert!((a.path.outage - b.path.outage).abs() < 1e-6);
            assert_eq!(a.path.loss_pct, b.path.loss_pct);
        }
    }
}
