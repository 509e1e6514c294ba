//! Requests as bytes, without a serialiser.
//!
//! A probe's samples differ in three numbers and a timestamp. The rest is rendered once per probe,
//! so a sample costs a few copies: the generator shares its cores with what it measures.

use super::{ProbeIdentity, Values};
use fiber_contract::UnixMicros;
use fiber_contract::time::MICROS_PER_S;

/// The constant text of one probe's samples.
#[derive(Clone, Debug)]
pub struct SampleTemplate {
    before_latency: Box<[u8]>,
    after_timestamp: Box<[u8]>,
    batch_open: Box<[u8]>,
    metadata: Box<[u8]>,
}

impl SampleTemplate {
    pub fn new(probe: &ProbeIdentity, interval_s: f64) -> Self {
        let text = |value: &str| serde_json::Value::from(value).to_string();
        let metadata = serde_json::json!({
            "city": probe.city, "lat": probe.lat, "lng": probe.lng,
            "interval_s": interval_s, "tags": probe.tags,
        });
        Self {
            before_latency: format!(
                "{{\"node_id\":{},\"country\":{},\"region\":{},\"latency_ms\":",
                text(&probe.node_id),
                text(&probe.country),
                text(&probe.region)
            )
            .into_bytes()
            .into(),
            after_timestamp: format!(
                "\",\"target_host\":{},\"probe_type\":{}",
                text(&probe.target_host),
                text(probe.probe_type)
            )
            .into_bytes()
            .into(),
            batch_open: format!("{{\"node_id\":{},\"metrics\":[", text(&probe.node_id))
                .into_bytes()
                .into(),
            metadata: format!(",\"metadata\":{metadata}").into_bytes().into(),
        }
    }

    /// Appends one sample object.
    pub fn sample(
        &self,
        out: &mut Vec<u8>,
        clock: &mut TimestampCache,
        time: UnixMicros,
        values: Values,
        with_metadata: bool,
    ) {
        out.extend_from_slice(&self.before_latency);
        match values.latency_us {
            Some(us) => fixed_point(out, us, 3),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"uptime_pct\":");
        fixed_point(out, u32::from(values.uptime_bp), 2);
        out.extend_from_slice(b",\"packet_loss\":");
        fixed_point(out, u32::from(values.loss_bp), 2);
        out.extend_from_slice(b",\"timestamp\":\"");
        clock.write(out, time);
        out.extend_from_slice(&self.after_timestamp);
        if with_metadata {
            out.extend_from_slice(&self.metadata);
        }
        out.push(b'}');
    }

    pub fn batch_open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.batch_open);
    }

    pub fn batch_close(out: &mut Vec<u8>) {
        out.extend_from_slice(b"]}");
    }
}

/// RFC 3339 text; the part up to the second is kept, as neighbouring samples share it.
#[derive(Clone, Debug)]
pub struct TimestampCache {
    second: i64,
    text: Vec<u8>,
}

impl Default for TimestampCache {
    fn default() -> Self {
        Self {
            second: i64::MIN,
            text: Vec::new(),
        }
    }
}

impl TimestampCache {
    /// Appends `2026-01-31T10:20:30.123456Z`, always with six digits.
    pub fn write(&mut self, out: &mut Vec<u8>, time: UnixMicros) {
        let second = time.0.div_euclid(MICROS_PER_S);
        if second != self.second {
            self.second = second;
            self.text = UnixMicros::from_secs(second).to_string().into_bytes();
            self.text.pop();
        }
        out.extend_from_slice(&self.text);
        out.push(b'.');
        let micros = u32::try_from(time.0.rem_euclid(MICROS_PER_S)).unwrap_or(0);
        digits(out, micros, 6);
        out.push(b'Z');
    }
}

/// `12345` with three places is `12.345`; trailing zeros are left out.
fn fixed_point(out: &mut Vec<u8>, value: u32, places: usize) {
    let unit = 10_u32.pow(u32::try_from(places).unwrap_or(0));
    decimal(out, u64::from(value / unit));
    let fraction = value % unit;
    if fraction != 0 {
        out.push(b'.');
        digits(out, fraction, places);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// The number in exactly `width` digits.
fn digits(out: &mut Vec<u8>, mut value: u32, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    for slot in out[start..].iter_mut().rev() {
        *slot = b'0' + (value % 10).to_le_bytes()[0];
        value /= 10;
    }
}

/// The number in as many digits as it needs.
pub fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [0_u8; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10).to_le_bytes()[0];
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "the column is `real`")]
mod tests {
    use super::*;
    use crate::workload::{ProbeWorkload, roster};
    use fiber_contract::{Batch, Sample};

    #[test]
    fn a_rendered_sample_reads_back_as_what_was_meant() {
        let probes = roster::tagged("t", 40);
        let mut clock = TimestampCache::default();
        for (probe, identity) in (0..).zip(probes.iter()) {
            let template = SampleTemplate::new(identity, 2.0);
            let workload = ProbeWorkload::new(11, probe);
            for number in 0..300_u64 {
                let values = workload.values(number);
                let time = UnixMicros(1_795_460_400_000_000 + number.cast_signed() * 333_333);
                let mut text = Vec::new();
                template.sample(&mut text, &mut clock, time, values, number % 7 == 0);
                let sample: Sample = serde_json::from_slice(&text).unwrap();
                assert_eq!(sample.node_id, identity.node_id);
                assert_eq!(sample.timestamp, time);
                assert_eq!(sample.latency_ms.map(|ms| ms as f32), values.latency_ms());
                assert_eq!(sample.packet_loss as f32, values.packet_loss());
                assert_eq!(sample.uptime_pct as f32, values.uptime_pct());
                assert_eq!(sample.metadata.is_some(), number % 7 == 0);
            }
        }
    }

    #[test]
    fn a_rendered_batch_is_one_object() {
        let identity = &roster::demo(1)[0];
        let template = SampleTemplate::new(identity, 2.0);
        let values = Values {
            latency_us: Some(10_000_000),
            uptime_bp: 9_950,
            loss_bp: 5,
        };
        let mut text = Vec::new();
        template.batch_open(&mut text);
        for n in 0..3 {
            if n > 0 {
                text.push(b',');
            }
            let clock = &mut TimestampCache::default();
            template.sample(&mut text, clock, UnixMicros(n), values, false);
        }
        SampleTemplate::batch_close(&mut text);
        let batch: Batch = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            (batch.node_id.as_str(), batch.metrics.len()),
            ("accra-01", 3)
        );
        assert_eq!(batch.metrics[2].latency_ms, Some(10_000.0));
        assert_eq!(batch.metrics[2].uptime_pct, 99.5);
        assert_eq!(batch.metrics[2].packet_loss, 0.05);
    }
}
