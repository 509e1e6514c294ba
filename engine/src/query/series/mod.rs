//! `/api/metrics/series`: points for charts of a node, a region, a country or the fleet.
//!
//! Below a minute the raw rows are read and percentiles are exact. From a minute on the rollups
//! are, and their sketches are merged per step: the same 1 % relative error at any step and over
//! any group. `step` chooses the table: the coarsest whose buckets divide it.

mod fold;
mod gaps;
mod reasons;
mod source;
mod step;

use super::context::Context;
use super::error::Error;
use super::params::Params;
use super::respond::{Body, answer as framed};
use super::sql::Session;
use fiber_contract::UnixMicros;
use fiber_contract::node::{INTERVAL_DEFAULT_S, SILENT_INTERVALS};
use fiber_contract::query::{Meta, SeriesAnswer};
pub(super) use fold::summed_up;
use hyper::Response;
use step::{Plan, Step};

const SPAN_DEFAULT_S: i64 = 3_600;

/// Whose samples.
#[derive(Clone, Debug, PartialEq)]
enum Selection {
    Node(String),
    Region(String),
    Country(String),
    Fleet,
}

#[derive(Debug, PartialEq)]
struct Asked {
    selection: Selection,
    from: UnixMicros,
    to: UnixMicros,
    step: Step,
    sketch: bool,
}

impl Asked {
    fn parse(params: &Params, now: UnixMicros) -> Result<Self, Error> {
        let selection = match (
            params.node_id()?,
            params.text("region")?,
            params.text("country")?,
        ) {
            (Some(node_id), None, None) => Selection::Node(node_id.to_owned()),
            (None, Some(region), None) => Selection::Region(region.to_owned()),
            (None, None, Some(country)) => Selection::Country(country.to_owned()),
            (None, None, None) => Selection::Fleet,
            (None, Some(_), Some(_)) => return Err(Error::parameter("country", ONE_OF)),
            (Some(_), _, _) => return Err(Error::parameter("node_id", ONE_OF)),
        };
        let (from, to) = params.window(now, SPAN_DEFAULT_S)?;
        let step = Step::parse(params.text("step")?.unwrap_or("auto"))?;
        let sketch = match params.text("sketch")? {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Error::parameter("sketch", "is true or false")),
        };
        Ok(Self {
            sketch,
            selection,
            from,
            to,
            step,
        })
    }
}

const ONE_OF: &str = "give one of node_id, region and country, or none for the fleet";

pub(super) async fn answer(context: &Context, params: &Params) -> Result<Response<Body>, Error> {
    let now = UnixMicros::now();
    let asked = Asked::parse(params, now)?;
    if matches!(asked.selection, Selection::Node(_)) {
        return make(context, asked, now).await;
    }
    // As it was asked, because `to` may be now.
    let key = format!("series {params:?}");
    let made = Box::pin(make(context, asked, now));
    context.kept.answer(&key, made).await
}

async fn make(context: &Context, asked: Asked, now: UnixMicros) -> Result<Response<Body>, Error> {
    let interval_s = match &asked.selection {
        Selection::Node(node_id) => context.live.node(node_id).map(|node| node.interval_s),
        _ => None,
    };
    let interval_s = interval_s.unwrap_or(INTERVAL_DEFAULT_S);
    let session = Session::for_request(context).await?;
    let keys = source::series_keys(&session, &asked.selection).await?;
    let plan = Plan::choose(&asked, keys.len(), interval_s)?;
    let read = source::read(context, &session, &plan, &keys, &asked).await?;
    let quiet_s = f64::from(plan.step_s).max(interval_s * SILENT_INTERVALS);
    let mut gaps = gaps::find(&read.observed, plan.from, plan.to.min(now), quiet_s);
    reasons::explain(context, &session, &asked.selection, now, &mut gaps).await?;
    let data = SeriesAnswer {
        from: plan.from,
        to: plan.to,
        step_s: plan.step_s,
        points: read.points,
        gaps,
        sketches: read.sketches,
    };
    framed(
        data,
        Meta {
            source: plan.table.name().to_owned(),
            next_cursor: None,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_795_460_400_000_000);

    fn asked(query: &str) -> Result<Asked, Error> {
        Asked::parse(&Params::parse(Some(query)).unwrap(), NOW)
    }

    #[test]
    fn the_last_hour_of_the_fleet_is_the_default() {
        let expect = Asked {
            selection: Selection::Fleet,
            from: UnixMicros(NOW.0 - 3_600_000_000),
            to: NOW,
            step: Step::Auto,
            sketch: false,
        };
        assert_eq!(asked("").unwrap(), expect);
    }

    #[test]
    fn the_bad_parameter_is_named() {
        for (query, name) in [
            ("node_id=a&region=b", "node_id"),
            ("region=b&country=GH", "country"),
            ("from=2026-11-24T00:00:00Z", "from"),
            ("from=2026-11-23T10:00:00Z&to=2026-11-23T10:00:00Z", "from"),
            ("to=tomorrow", "to"),
            ("step=fast", "step"),
            ("sketch=yes", "sketch"),
            ("node_id=%27%3B--", "node_id"),
        ] {
            let error = asked(query).unwrap_err();
            assert_eq!(error.code().http_status(), 422, "{query}");
            assert!(error.to_string().contains(name), "{query}: {error}");
        }
    }
}
