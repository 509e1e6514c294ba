//! What an engine tells about itself in Redis, for operators and for the other engines.

use fiber_contract::UnixMicros;
use fiber_contract::status::EtlStatus;

/// A hash; the fields of one engine start with its instance name, so several do not overwrite each
/// other. Readers judge by `heartbeat`: a name that is minutes old has stopped.
pub const STATUS_KEY: &str = "fiber:etl:status";

pub(super) fn command(
    instance: &str,
    now: UnixMicros,
    committed_seq: u64,
    etl: &EtlStatus,
) -> redis::Cmd {
    let field = |name: &str| format!("{instance}:{name}");
    let mut command = redis::cmd("HSET");
    command
        .arg(STATUS_KEY)
        .arg(field("heartbeat"))
        .arg(now.to_string())
        .arg(field("state"))
        .arg(&etl.state)
        .arg(field("committed_seq"))
        .arg(committed_seq)
        .arg(field("lag_s"))
        .arg(format!("{:.3}", etl.lag_s))
        .arg(field("in_flight"))
        .arg(etl.in_flight);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heartbeat_names_its_engine_in_every_field() {
        let etl = EtlStatus {
            state: "running".to_owned(),
            lag_s: 0.25,
            in_flight: 7,
            last_error: None,
        };
        let packed = command("west-1", UnixMicros(0), 42, &etl).get_packed_command();
        let text = String::from_utf8(packed).unwrap();
        assert!(text.contains("fiber:etl:status"));
        assert_eq!(text.matches("west-1:").count(), 5);
        assert!(text.contains("\r\n0.250\r\n") && text.contains("\r\n42\r\n"));
        assert!(text.contains("1970-01-01T00:00:00"));
    }
}
