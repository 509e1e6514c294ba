use fiber_contract::UnixMicros;
use fiber_contract::query::SeriesAnswer;

use super::client::{encode, query};
use super::error::Error;
use crate::state::history::Subject;

/// The engine chooses the step, so that a range has about as many points as a chart has pixels.
pub(crate) async fn of(
    subject: &Subject,
    from: UnixMicros,
    to: UnixMicros,
) -> Result<SeriesAnswer, Error> {
    let of_node = match subject {
        Subject::Fleet => String::new(),
        Subject::Node(id) => format!("node_id={}&", encode(id)),
    };
    query(&format!(
        "/api/metrics/series?{of_node}from={from}&to={to}&step=auto"
    ))
    .await
}
