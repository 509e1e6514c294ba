use fiber_contract::UnixMicros;
use fiber_contract::summary::AggregatedAnswer;

use super::client::ask_then;
use super::error::Error;

/// One row a region.
pub(crate) fn regions(
    from: UnixMicros,
    to: UnixMicros,
    heard: impl FnOnce(Result<AggregatedAnswer, Error>) + 'static,
) {
    let path = format!("/api/metrics/aggregated?dimension=region&from={from}&to={to}");
    ask_then("GET", path, None, heard);
}
