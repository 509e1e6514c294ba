//! One sample: every field that the contract names, checked.

use super::body::after;
use super::metadata;
use crate::model::SeriesName;
use fiber_contract::UnixMicros;
use fiber_contract::ingest::SampleError;
use fiber_contract::limits::{
    CLOCK_AHEAD_MAX_S, LATENCY_MS_MAX, NODE_ID_BYTES_MAX, PROBE_TYPE_BYTES_MAX, PROBE_TYPE_DEFAULT,
    RAW_RETENTION_S, REGION_CHARS_MAX, TARGET_HOST_BYTES_MAX,
};
use fiber_contract::time::MICROS_PER_S;
use simd_json::{Node, StaticNode};
use std::borrow::Cow;

/// A checked sample, borrowed from its body.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub(super) name: SeriesName<'a>,
    pub(super) time: UnixMicros,
    pub(super) latency_ms: Option<f32>,
    pub(super) uptime_pct: f32,
    pub(super) packet_loss: f32,
    /// JSON text.
    pub(super) metadata: Option<String>,
}

/// Why one sample is refused.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    field: &'static str,
    reason: Cow<'static, str>,
}

impl Refusal {
    fn new(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }

    pub(super) fn at(self, index: u32) -> SampleError {
        SampleError {
            index,
            field: self.field.to_owned(),
            reason: self.reason.into_owned(),
        }
    }
}

/// The span of timestamps that is accepted now.
#[derive(Debug)]
pub(super) struct Clock {
    now: UnixMicros,
    oldest: UnixMicros,
    newest: UnixMicros,
}

impl Clock {
    pub(super) fn at(now: UnixMicros) -> Self {
        Self {
            now,
            oldest: UnixMicros(now.0 - RAW_RETENTION_S * MICROS_PER_S),
            newest: UnixMicros(now.0 + CLOCK_AHEAD_MAX_S * MICROS_PER_S),
        }
    }

    fn check(&self, time: UnixMicros) -> Result<UnixMicros, Refusal> {
        if time > self.newest {
            let ahead_s = time.secs_since(self.now);
            return Err(Refusal::new(
                "timestamp",
                format!(
                    "is {ahead_s:.0} s ahead of the engine's clock; {CLOCK_AHEAD_MAX_S} s are allowed"
                ),
            ));
        }
        if time < self.oldest {
            return Err(Refusal::new(
                "timestamp",
                format!(
                    "is older than the {} days that raw samples are kept",
                    RAW_RETENTION_S / 86_400
                ),
            ));
        }
        Ok(time)
    }
}

const MISSING: &str = "is missing";
const NOT_A_STRING: &str = "must be a string";
const NOT_A_NUMBER: &str = "must be a number";

/// Where the members of one sample object are on the tape; 0 is "not there", because position 0
/// is the body itself. The last of a repeated key counts.
#[derive(Default)]
struct Fields {
    node_id: usize,
    country: usize,
    region: usize,
    latency_ms: usize,
    uptime_pct: usize,
    packet_loss: usize,
    timestamp: usize,
    target_host: usize,
    probe_type: usize,
    metadata: usize,
    seq: usize,
}

impl Fields {
    fn node<'t, 'a>(nodes: &'t [Node<'a>], position: usize) -> Option<&'t Node<'a>> {
        if position == 0 {
            None
        } else {
            nodes.get(position)
        }
    }

    fn find(nodes: &[Node<'_>], object_at: usize, len: usize) -> Self {
        let mut fields = Self::default();
        let mut at = object_at + 1;
        for _ in 0..len {
            if let Some(Node::String(key)) = nodes.get(at) {
                let field = match *key {
                    "node_id" => Some(&mut fields.node_id),
                    "country" => Some(&mut fields.country),
                    "region" => Some(&mut fields.region),
                    "latency_ms" => Some(&mut fields.latency_ms),
                    "uptime_pct" => Some(&mut fields.uptime_pct),
                    "packet_loss" => Some(&mut fields.packet_loss),
                    "timestamp" => Some(&mut fields.timestamp),
                    "target_host" => Some(&mut fields.target_host),
                    "probe_type" => Some(&mut fields.probe_type),
                    "metadata" => Some(&mut fields.metadata),
                    "seq" => Some(&mut fields.seq),
                    _ => None,
                };
                if let Some(field) = field {
                    *field = at + 1;
                }
            }
            at = after(nodes, at + 1);
        }
        fields
    }
}

/// Reads the object at `at`. A sample without `node_id` takes its batch's.
pub(super) fn read_sample<'a>(
    nodes: &[Node<'a>],
    at: usize,
    batch_node: Option<&'a str>,
    clock: &Clock,
) -> Result<Sample<'a>, Refusal> {
    let Some(Node::Object { len, .. }) = nodes.get(at) else {
        return Err(Refusal::new("metrics", "must hold objects"));
    };
    let fields = Fields::find(nodes, at, *len);
    let field = |position| Fields::node(nodes, position);
    let name = read_name(nodes, &fields, batch_node)?;
    let packet_loss = required_number("packet_loss", field(fields.packet_loss), 100.0)?;
    let uptime_pct = required_number("uptime_pct", field(fields.uptime_pct), 100.0)?;
    let latency_ms = match field(fields.latency_ms) {
        None => return Err(Refusal::new("latency_ms", MISSING)),
        Some(Node::Static(StaticNode::Null)) if packet_loss >= 100.0 => None,
        Some(Node::Static(StaticNode::Null)) => {
            return Err(Refusal::new(
                "latency_ms",
                "may be null only when packet_loss is 100",
            ));
        }
        some => Some(required_number("latency_ms", some, LATENCY_MS_MAX)?),
    };
    let timestamp = required_string("timestamp", field(fields.timestamp))?;
    let time = UnixMicros::parse(timestamp)
        .map_err(|_| Refusal::new("timestamp", "must be an RFC 3339 timestamp"))?;
    check_seq(field(fields.seq))?;
    let metadata = match field(fields.metadata) {
        None | Some(Node::Static(StaticNode::Null)) => None,
        Some(Node::Object { .. }) => Some(
            metadata::to_text(nodes, fields.metadata)
                .map_err(|reason| Refusal::new("metadata", reason))?,
        ),
        Some(_) => return Err(Refusal::new("metadata", "must be an object")),
    };
    Ok(Sample {
        name,
        time: clock.check(time)?,
        latency_ms,
        uptime_pct,
        packet_loss,
        metadata,
    })
}

/// What identifies the series, and where its node is.
fn read_name<'a>(
    nodes: &[Node<'a>],
    fields: &Fields,
    batch_node: Option<&'a str>,
) -> Result<SeriesName<'a>, Refusal> {
    let field = |position| Fields::node(nodes, position);
    let node_id = match (
        optional_string("node_id", field(fields.node_id))?,
        batch_node,
    ) {
        (Some(node_id), _) => {
            check_node_id(node_id).map_err(|reason| Refusal::new("node_id", reason))?
        }
        (None, Some(node_id)) => node_id,
        (None, None) => return Err(Refusal::new("node_id", MISSING)),
    };
    let country = required_string("country", field(fields.country))?;
    if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Refusal::new("country", "must be two letters A-Z"));
    }
    let region = required_string("region", field(fields.region))?;
    check_text("region", region)?;
    if region.is_empty() || region.chars().count() > REGION_CHARS_MAX {
        return Err(Refusal::new(
            "region",
            format!("must have 1 to {REGION_CHARS_MAX} characters"),
        ));
    }
    let target_host = optional_string("target_host", field(fields.target_host))?.unwrap_or("");
    check_length("target_host", target_host, TARGET_HOST_BYTES_MAX)?;
    let probe_type =
        optional_string("probe_type", field(fields.probe_type))?.unwrap_or(PROBE_TYPE_DEFAULT);
    check_length("probe_type", probe_type, PROBE_TYPE_BYTES_MAX)?;
    if probe_type.is_empty() {
        return Err(Refusal::new("probe_type", "must not be empty"));
    }
    Ok(SeriesName {
        node_id,
        country,
        region,
        target_host,
        probe_type,
    })
}

pub(crate) fn check_node_id(node_id: &str) -> Result<&str, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if node_id.is_empty() || node_id.len() > NODE_ID_BYTES_MAX {
        return Err(format!("must have 1 to {NODE_ID_BYTES_MAX} characters"));
    }
    if !node_id.bytes().all(allowed) {
        return Err("may hold only A-Z a-z 0-9 . _ : -".to_owned());
    }
    Ok(node_id)
}

fn optional_string<'a>(
    field: &'static str,
    node: Option<&Node<'a>>,
) -> Result<Option<&'a str>, Refusal> {
    match node {
        None | Some(Node::Static(StaticNode::Null)) => Ok(None),
        Some(Node::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::new(field, NOT_A_STRING)),
    }
}

fn required_string<'a>(field: &'static str, node: Option<&Node<'a>>) -> Result<&'a str, Refusal> {
    match node {
        None => Err(Refusal::new(field, MISSING)),
        Some(Node::String(text)) => Ok(text),
        Some(_) => Err(Refusal::new(field, NOT_A_STRING)),
    }
}

/// Control characters are refused: NUL cannot be stored, the others only ever come from a mistake.
fn check_text(field: &'static str, text: &str) -> Result<(), Refusal> {
    if text.chars().any(char::is_control) {
        return Err(Refusal::new(field, "must not hold control characters"));
    }
    Ok(())
}

fn check_length(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Refusal> {
    check_text(field, text)?;
    if text.len() > bytes_max {
        return Err(Refusal::new(field, format!("may have {bytes_max} bytes")));
    }
    Ok(())
}

fn check_seq(node: Option<&Node<'_>>) -> Result<(), Refusal> {
    match node {
        None | Some(Node::Static(StaticNode::Null | StaticNode::U64(_))) => Ok(()),
        Some(Node::Static(StaticNode::I64(seq))) if *seq >= 0 => Ok(()),
        Some(_) => Err(Refusal::new("seq", "must be a whole number from 0")),
    }
}

/// A number from 0 to `max`, rounded to the column's type.
fn required_number(field: &'static str, node: Option<&Node<'_>>, max: f64) -> Result<f32, Refusal> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "values beyond 2^53 are out of range anyway"
    )]
    let value = match node {
        None => return Err(Refusal::new(field, MISSING)),
        Some(Node::Static(StaticNode::F64(value))) => *value,
        Some(Node::Static(StaticNode::I64(value))) => *value as f64,
        Some(Node::Static(StaticNode::U64(value))) => *value as f64,
        Some(_) => return Err(Refusal::new(field, NOT_A_NUMBER)),
    };
    if !(0.0..=max).contains(&value) {
        return Err(Refusal::new(field, format!("must be from 0 to {max}")));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "in range, and the column is float4"
    )]
    Ok(value as f32)
}
