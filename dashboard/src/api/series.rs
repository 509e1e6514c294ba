use fiber_contract::UnixMicros;
use fiber_contract::query::SeriesAnswer;

use super::client::{encode, query};
use super::error::Error;

/// The engine chooses the step, so that a range has about as many points as a chart has pixels.
pub(crate) async fn of_node(
    node_id: &str,
    from: UnixMicros,
    to: UnixMicros,
) -> Result<SeriesAnswer, Error> {
    let node_id = encode(node_id);
    query(&format!(
        "/api/metrics/series?node_id={node_id}&from={from}&to={to}&step=auto"
    ))
    .await
}
