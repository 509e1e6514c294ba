//! Why a node stands among the worst, in a few words.

use fiber_contract::node::{DEGRADED_LATENCY_MS, DEGRADED_LOSS_PCT};
use fiber_contract::{NodeState, UnixMicros};

use super::fleet::Node;
use crate::format;

pub(crate) fn why(node: &Node, now: UnixMicros) -> String {
    match node.state {
        NodeState::Unobserved => match node.last_seen {
            Some(seen) => format!("silent for {}", format::span(now.secs_since(seen))),
            None => "never heard of".to_owned(),
        },
        NodeState::Down => match node.packet_loss {
            Some(loss) if loss < 100.0 => format!("no service, loss {} %", format::pct(Some(loss))),
            _ => "no answer".to_owned(),
        },
        NodeState::Degraded => {
            let loss = node.packet_loss.filter(|loss| *loss >= DEGRADED_LOSS_PCT);
            let slow = node.latency_ms.filter(|ms| *ms >= DEGRADED_LATENCY_MS);
            match (loss, slow) {
                (Some(_), _) => format!("loss {} %", format::pct(loss)),
                (None, Some(_)) => format!("latency {} ms", format::ms(slow)),
                (None, None) => format!("uptime {} %", format::pct(node.uptime_pct)),
            }
        }
        NodeState::Up => format!("p95 {} ms", format::ms(node.p95_ms)),
    }
}

#[cfg(test)]
mod tests {
    use fiber_contract::NodeView;

    use super::super::fleet::tests::node;
    use super::*;

    fn check(change: impl FnOnce(&mut NodeView), state: NodeState, expect: &str) {
        let mut view = node("a", state);
        change(&mut view);
        assert_eq!(why(&Node::from(view), UnixMicros::from_secs(190)), expect);
    }

    #[test]
    fn the_reason_is_the_rule_that_was_broken() {
        check(
            |node| node.packet_loss = Some(12.5),
            NodeState::Degraded,
            "loss 12.5 %",
        );
        check(
            |node| node.latency_ms = Some(512.0),
            NodeState::Degraded,
            "latency 512 ms",
        );
        check(
            |node| node.uptime_pct = Some(98.0),
            NodeState::Degraded,
            "uptime 98.0 %",
        );
        check(
            |node| node.packet_loss = Some(100.0),
            NodeState::Down,
            "no answer",
        );
        check(|_| (), NodeState::Unobserved, "silent for 1 min");
        check(|_| (), NodeState::Up, "p95 60.0 ms");
    }
}
