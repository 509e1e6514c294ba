//! A body is one sample, or `{"node_id": …, "metrics": [sample, …]}`.

use super::batch::{Parsed, Rows};
use super::reject::Reject;
use super::sample::{Clock, read_sample};
use fiber_contract::UnixMicros;
use fiber_contract::ingest::SampleError;
use fiber_contract::limits::{JSON_DEPTH_MAX, SAMPLE_BYTES_MAX};
use simd_json::{Buffers, Node, StaticNode, Tape};

/// Bounds that depend on the route.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub samples_max: usize,
    /// `/api/ingest` takes batches only.
    pub single_allowed: bool,
}

/// Errors told one by one; the count of the rest is in `rejected`.
const ERRORS_TOLD_MAX: usize = 1_000;

/// Buffers kept from one body to the next. They hold no data between calls.
pub struct Scratch {
    buffers: Buffers,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            buffers: Buffers::with_max_depth(16 * 1024, JSON_DEPTH_MAX),
        }
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch")
    }
}

/// Decodes `body` in place: its bytes are changed and must not be used afterwards.
pub fn parse(
    body: &mut [u8],
    limits: Limits,
    now: UnixMicros,
    scratch: &mut Scratch,
) -> Result<Parsed, Reject> {
    let body_bytes = body.len();
    let tape = simd_json::to_tape_with_buffers(body, &mut scratch.buffers)
        .map_err(|error| Reject::malformed(format!("the body is not valid JSON: {error}")))?;
    let Tape(nodes) = tape;
    let Some(Node::Object { len, .. }) = nodes.first() else {
        return Err(Reject::shape("body", "must be an object"));
    };
    let clock = Clock::at(now);
    let mut rows = Rows::default();
    let top = Top::find(&nodes, *len);
    let Some(metrics_at) = top.metrics_at else {
        if !limits.single_allowed {
            return Err(Reject::shape("metrics", "is missing"));
        }
        if body_bytes > SAMPLE_BYTES_MAX {
            return Err(Reject::too_large(format!(
                "a sample may have {SAMPLE_BYTES_MAX} bytes; this one has {body_bytes}"
            )));
        }
        let sample = read_sample(&nodes, 0, None, &clock)
            .map_err(|refusal| Reject::samples(vec![refusal.at(0)]))?;
        rows.push(&sample);
        return Ok(rows.finish(1, Vec::new(), 0));
    };
    let Some(Node::Array { len: queued, .. }) = nodes.get(metrics_at) else {
        return Err(Reject::shape("metrics", "must be an array"));
    };
    let queued = *queued;
    if queued == 0 {
        return Err(Reject::shape("metrics", "must hold at least one sample"));
    }
    if queued > limits.samples_max {
        return Err(Reject::too_large(format!(
            "a batch may have {} samples here; this one has {queued}",
            limits.samples_max
        )));
    }
    let batch_node = top.node_id(&nodes)?;
    read_batch(&nodes, metrics_at, queued, batch_node, &clock, rows)
}

fn read_batch(
    nodes: &[Node<'_>],
    metrics_at: usize,
    queued: usize,
    batch_node: &str,
    clock: &Clock,
    mut rows: Rows,
) -> Result<Parsed, Reject> {
    rows.reserve(queued);
    let mut errors: Vec<SampleError> = Vec::new();
    let mut rejected = 0;
    let mut at = metrics_at + 1;
    for index in 0..u32::try_from(queued).unwrap_or(u32::MAX) {
        match read_sample(nodes, at, Some(batch_node), clock) {
            Ok(sample) => rows.push(&sample),
            Err(refusal) => {
                rejected += 1;
                if errors.len() < ERRORS_TOLD_MAX {
                    errors.push(refusal.at(index));
                }
            }
        }
        at = after(nodes, at);
    }
    if rows.is_empty() {
        return Err(Reject::samples(errors));
    }
    Ok(rows.finish(queued, errors, rejected))
}

/// Position after the value at `at`, its members included.
pub(super) fn after(nodes: &[Node<'_>], at: usize) -> usize {
    match nodes.get(at) {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => at + 1 + count,
        _ => at + 1,
    }
}

/// The members of a batch body that matter; the last of a repeated key counts.
struct Top {
    metrics_at: Option<usize>,
    node_id_at: Option<usize>,
}

impl Top {
    fn find(nodes: &[Node<'_>], len: usize) -> Self {
        let mut top = Self {
            metrics_at: None,
            node_id_at: None,
        };
        let mut at = 1;
        for _ in 0..len {
            match nodes.get(at) {
                Some(Node::String("metrics")) => top.metrics_at = Some(at + 1),
                Some(Node::String("node_id")) => top.node_id_at = Some(at + 1),
                _ => {}
            }
            at = after(nodes, at + 1);
        }
        top
    }

    fn node_id<'a>(&self, nodes: &[Node<'a>]) -> Result<&'a str, Reject> {
        match self.node_id_at.and_then(|at| nodes.get(at)) {
            None | Some(Node::Static(StaticNode::Null)) => {
                Err(Reject::shape("node_id", "is missing"))
            }
            Some(Node::String(node_id)) => super::sample::check_node_id(node_id)
                .map_err(|reason| Reject::shape("node_id", reason)),
            Some(_) => Err(Reject::shape("node_id", "must be a string")),
        }
    }
}

#[cfg(test)]
#[path = "body/tests.rs"]
mod tests;
