//! The table as a file.

use super::fleet::Fleet;
use crate::format::fixed;

const HEAD: &str = "node,state,country,region,city,last_seen,p50_ms,p95_ms,latency_ms,loss_pct,uptime_pct,interval_s,tags";

/// The nodes in this order; numbers as the engine told them, what is not known is empty.
pub(crate) fn csv(fleet: &Fleet, ids: &[String]) -> String {
    let mut text = String::from(HEAD);
    text.push_str("\r\n");
    for node in ids.iter().filter_map(|id| fleet.nodes.get(id)) {
        let number = |value: Option<f32>| {
            value.map_or(String::new(), |value| fixed(value.into(), 3).to_string())
        };
        let fields = [
            cell(&node.node_id),
            node.state.as_str().to_owned(),
            cell(&node.country),
            cell(&node.region),
            cell(node.city.as_deref().unwrap_or_default()),
            node.last_seen.map(|at| at.to_string()).unwrap_or_default(),
            number(node.p50_ms),
            number(node.p95_ms),
            number(node.latency_ms),
            number(node.packet_loss),
            number(node.uptime_pct),
            fixed(node.interval_s, 3).to_string(),
            cell(&node.tags.join(" ")),
        ];
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

/// Quoted where it has to be. A text that a spreadsheet would take for a formula gets an apostrophe:
/// what a probe calls itself must not run on an operator's machine.
fn cell(text: &str) -> String {
    let text = match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use fiber_contract::NodeState;

    use super::super::fleet::tests::{fleet, node};
    use super::*;

    #[test]
    fn only_what_is_shown_is_in_the_file_and_in_its_order() {
        let mut odd = node("b", NodeState::Down);
        odd.region = "Lagos, \"Mainland\"".to_owned();
        odd.city = Some("=cmd()".to_owned());
        odd.p50_ms = None;
        let fleet = fleet(vec![
            node("a", NodeState::Up),
            odd,
            node("c", NodeState::Up),
        ]);
        let text = csv(&fleet, &["b".to_owned(), "a".to_owned(), "gone".to_owned()]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].split(',').count(), 13);
        assert!(lines[1].starts_with("b,down,GH,\"Lagos, \"\"Mainland\"\"\",'=cmd(),"));
        assert!(
            lines[1].contains(",,60.000,40.000,0.000,100.000,10.000,"),
            "{}",
            lines[1]
        );
        assert!(lines[2].starts_with("a,up,"));
    }
}
