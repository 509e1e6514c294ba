//! The bounds a client must know. The engine's own bounds are in `engine/src/limits.rs`.

/// One sample as JSON.
pub const SAMPLE_BYTES_MAX: usize = 4 * 1024;
/// A request body, after decompression.
pub const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Samples of one `POST /api/push`.
pub const PUSH_SAMPLES_MAX: usize = 1_000;
/// Samples of one `POST /api/ingest`: a hub relays for many probes.
pub const INGEST_SAMPLES_MAX: usize = 10_000;
pub const NODE_ID_BYTES_MAX: usize = 64;
pub const REGION_CHARS_MAX: usize = 100;
pub const TARGET_HOST_BYTES_MAX: usize = 255;
pub const PROBE_TYPE_BYTES_MAX: usize = 50;
/// `metadata` as JSON text.
pub const METADATA_BYTES_MAX: usize = 4 * 1024;
pub const LATENCY_MS_MAX: f64 = 10_000.0;
/// JSON nesting, the body's own object included.
pub const JSON_DEPTH_MAX: usize = 32;
/// A sample may be this far ahead of the engine's clock.
pub const CLOCK_AHEAD_MAX_S: i64 = 300;
/// Raw samples are kept this long; older ones are refused.
pub const RAW_RETENTION_S: i64 = 7 * 86_400;
/// `limit` of `/api/metrics`.
pub const QUERY_ROWS_MAX: usize = 1_000;
/// Points of one `/api/metrics/series` answer, per series.
pub const SERIES_POINTS_MAX: usize = 3_600;
/// The same with `sketch=true`: a point then holds up to some hundreds of bins.
pub const SKETCH_POINTS_MAX: usize = 720;

/// `probe_type` when a sample names none.
pub const PROBE_TYPE_DEFAULT: &str = "ping";

/// Of a user of the dashboard, as people type it; no rule asks for kinds of characters.
pub const PASSWORD_CHARS_MIN: usize = 12;
pub const PASSWORD_BYTES_MAX: usize = 256;
pub const USER_NAME_BYTES_MAX: usize = 64;
