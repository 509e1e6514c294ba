use fiber_contract::query::SeriesAnswer;

use super::client::{encode, query};
use super::error::Error;
use crate::chart::frame::Domain;
use crate::state::history::Subject;

/// Without a step the engine chooses it, so that a range has about as many points as a chart has
/// pixels.
pub(crate) async fn of(
    subject: &Subject,
    domain: Domain,
    sketch: bool,
    step_s: Option<u32>,
) -> Result<SeriesAnswer, Error> {
    let whose = match subject {
        Subject::Fleet => String::new(),
        Subject::Node(id) => format!("node_id={}&", encode(id)),
        Subject::Region(name) => format!("region={}&", encode(name)),
    };
    let Domain { from, to } = domain;
    let step = step_s.map_or_else(|| "auto".to_owned(), |step_s| format!("{step_s}s"));
    query(&format!(
        "/api/metrics/series?{whose}from={from}&to={to}&step={step}&sketch={sketch}"
    ))
    .await
}
