//! Requests as bytes, without a serialiser.
//!
//! A probe's samples differ in three numbers and a timestamp. The rest is rendered once per probe,
//! so a sample costs a few copies: the generator shares its cores with what it measures.

use super::faults::Bad;
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
    line_open: Box<[u8]>,
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
                text(&probe.probe_type)
            )
            .into_bytes()
            .into(),
            batch_open: format!("{{\"node_id\":{},\"metrics\":[", text(&probe.node_id))
                .into_bytes()
                .into(),
            metadata: format!(",\"metadata\":{metadata}").into_bytes().into(),
            line_open: format!(
                "fiber,node_id={},target_host={},probe_type={} ",
                tag(&probe.node_id),
                tag(&probe.target_host),
                tag(&probe.probe_type)
            )
            .into_bytes()
            .into(),
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

    /// Appends a sample that breaks one rule of the contract, and no other.
    pub fn broken(
        &self,
        out: &mut Vec<u8>,
        clock: &mut TimestampCache,
        time: UnixMicros,
        values: Values,
        bad: Bad,
    ) {
        let mut text = Vec::new();
        // One with an answer, so that the rule about nulls is kept unless it is the one to break.
        let values = Values {
            latency_us: values.latency_us.or(Some(50_000)),
            loss_bp: values.loss_bp.min(9_000),
            ..values
        };
        self.sample(&mut text, clock, time, values, false);
        let number = |key: &str| {
            let from = find(&text, key.as_bytes()) + key.len();
            from..from + text[from..].iter().position(|b| *b == b',').unwrap_or(0)
        };
        let (range, instead): (_, &[u8]) = match bad {
            Bad::NegativeLatency => (number("\"latency_ms\":"), b"-1"),
            Bad::LatencyTooHigh => (number("\"latency_ms\":"), b"10000.5"),
            Bad::LatencyAsText => (number("\"latency_ms\":"), b"\"12\""),
            Bad::NullWithoutLoss => (number("\"latency_ms\":"), b"null"),
            Bad::LossTooHigh => (number("\"packet_loss\":"), b"100.5"),
            Bad::UptimeTooHigh => (number("\"uptime_pct\":"), b"100.5"),
            Bad::Timestamp => (number("\"timestamp\":"), b"\"yesterday\""),
            Bad::Future | Bad::TooOld => (0..0, b""),
        };
        text.splice(range, instead.iter().copied());
        out.extend_from_slice(&text);
    }

    /// Appends one line of InfluxDB's line protocol.
    pub fn line(&self, out: &mut Vec<u8>, time: UnixMicros, values: Values) {
        out.extend_from_slice(&self.line_open);
        if let Some(us) = values.latency_us {
            out.extend_from_slice(b"latency_ms=");
            fixed_point(out, us, 3);
            out.push(b',');
        }
        out.extend_from_slice(b"uptime_pct=");
        fixed_point(out, u32::from(values.uptime_bp), 2);
        out.extend_from_slice(b",packet_loss=");
        fixed_point(out, u32::from(values.loss_bp), 2);
        out.push(b' ');
        decimal(out, time.0.max(0).cast_unsigned());
        out.extend_from_slice(b"000\n");
    }

    pub fn batch_open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.batch_open);
    }

    pub fn batch_close(out: &mut Vec<u8>) {
        out.extend_from_slice(b"]}");
    }
}

/// A tag of the line protocol.
fn tag(text: &str) -> String {
    text.replace(' ', "\\ ")
        .replace(',', "\\,")
        .replace('=', "\\=")
}

fn find(text: &[u8], key: &[u8]) -> usize {
    let at = text.windows(key.len()).position(|part| part == key);
    at.unwrap_or(0)
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
    fn a_broken_sample_differs_in_one_field_and_is_json() {
        let template = SampleTemplate::new(&roster::demo(1)[0], 2.0);
        let values = Values {
            latency_us: None,
            uptime_bp: 0,
            loss_bp: 10_000,
        };
        for bad in Bad::ALL {
            let mut text = Vec::new();
            let clock = &mut TimestampCache::default();
            template.broken(&mut text, clock, UnixMicros(1_000_000), values, bad);
            let sample: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let field = &sample[bad.field()];
            let expect = match bad {
                Bad::NegativeLatency => serde_json::json!(-1),
                Bad::LatencyTooHigh => serde_json::json!(10_000.5),
                Bad::LatencyAsText => serde_json::json!("12"),
                Bad::NullWithoutLoss => serde_json::Value::Null,
                Bad::LossTooHigh | Bad::UptimeTooHigh => serde_json::json!(100.5),
                Bad::Timestamp => serde_json::json!("yesterday"),
                Bad::Future | Bad::TooOld => serde_json::json!("1970-01-01T00:00:01.000000Z"),
            };
            assert_eq!(*field, expect, "{bad:?}");
            assert_eq!(sample["node_id"], "accra-01");
            let loss = sample["packet_loss"].as_f64().unwrap();
            assert!(bad == Bad::LossTooHigh || loss == 90.0, "{bad:?}");
        }
    }

    #[test]
    fn a_line_escapes_its_tags_and_leaves_out_what_is_null() {
        let mut probe = roster::demo(1)[0].clone();
        probe.target_host = "a b,c=d".to_owned();
        let template = SampleTemplate::new(&probe, 2.0);
        let mut text = Vec::new();
        for latency_us in [Some(12_500), None] {
            let values = Values {
                latency_us,
                uptime_bp: 10_000,
                loss_bp: 50,
            };
            template.line(&mut text, UnixMicros(1_500_000), values);
        }
        let tags = "fiber,node_id=accra-01,target_host=a\\ b\\,c\\=d,probe_type=tcp";
        let expect = format!(
            "{tags} latency_ms=12.5,uptime_pct=100,packet_loss=0.5 1500000000\n\
             {tags} uptime_pct=100,packet_loss=0.5 1500000000\n"
        );
        assert_eq!(String::from_utf8(text).unwrap(), expect);
    }

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
