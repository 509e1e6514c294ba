//! A round as the engine wants it.

use super::config::Config;
use super::measure::Round;
use super::target::Target;
use fiber_contract::UnixMicros;

/// Writes the samples of one target.
#[derive(Clone, Debug)]
pub struct SampleWriter {
    node_id: String,
    country: String,
    region: String,
    target_host: String,
    probe_type: &'static str,
    registration: serde_json::Map<String, serde_json::Value>,
    metadata_due: UnixMicros,
}

/// Metadata is stored with its sample: once in five minutes keeps the registry fresh for nothing.
const METADATA_EVERY_US: i64 = 300 * 1_000_000;

impl SampleWriter {
    pub fn new(config: &Config, target: &Target) -> Self {
        Self {
            node_id: config.node_id.clone(),
            country: config.country.clone(),
            region: config.region.clone(),
            target_host: target.host(),
            probe_type: target.probe_type(),
            registration: config.registration(),
            metadata_due: UnixMicros(i64::MIN),
        }
    }

    /// The sample as JSON; with metadata when it is due.
    pub fn json(&mut self, time: UnixMicros, round: &Round) -> Vec<u8> {
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        let mut sample = serde_json::json!({
            "node_id": self.node_id,
            "country": self.country,
            "region": self.region,
            "latency_ms": round.latency_ms().map(rounded),
            "uptime_pct": round.uptime_pct(),
            "packet_loss": rounded(round.packet_loss()),
            "timestamp": time,
            "target_host": self.target_host,
            "probe_type": self.probe_type,
        });
        if time >= self.metadata_due {
            self.metadata_due = UnixMicros(time.0 + METADATA_EVERY_US);
            let mut metadata = self.registration.clone();
            if let Some(jitter) = round.jitter_ms() {
                metadata.insert("jitter_ms".to_owned(), rounded(jitter).into());
            }
            metadata.insert("packets".to_owned(), round.packets().into());
            sample["metadata"] = metadata.into();
        }
        sample.to_string().into_bytes()
    }
}

/// The body of `/api/ingest` for these samples.
pub fn batch_body(node_id: &str, members: &[Vec<u8>]) -> Vec<u8> {
    let node_id = serde_json::Value::from(node_id);
    let mut body = format!("{{\"node_id\":{node_id},\"metrics\":[").into_bytes();
    body.extend_from_slice(&members.join(&b','));
    body.extend_from_slice(b"]}");
    body
}
