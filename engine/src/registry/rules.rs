//! What an operator may say of a node: what a sample may say, and no control characters.

use super::error::Error;
use crate::parse::check_node_id;
use fiber_contract::limits::REGION_CHARS_MAX;
use fiber_contract::node::{ChangeNode, NewNode};

const TAGS_MAX: usize = 32;
const TAG_CHARS_MAX: usize = 64;
/// A day is the longest rhythm anybody probes in.
const INTERVAL_S_MAX: f64 = 86_400.0;
const INTERVAL_S_MIN: f64 = 0.001;

/// The fields of a change, by name: what is to be set, and what is given back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields {
    pub(super) country: Option<String>,
    pub(super) region: Option<String>,
    pub(super) city: Option<String>,
    pub(super) lat: Option<f64>,
    pub(super) lng: Option<f64>,
    pub(super) interval_s: Option<f64>,
    pub(super) tags: Option<Vec<String>>,
    /// Columns that are set.
    pub(super) pin: Vec<&'static str>,
    /// Columns that are the node's own again.
    pub(super) unpin: Vec<&'static str>,
}

fn refused<T>(field: &'static str, reason: impl Into<String>) -> Result<T, Error> {
    Err(Error::Field {
        field,
        reason: reason.into(),
    })
}

fn text(field: &'static str, text: &str, chars_max: usize) -> Result<(), Error> {
    let fits = (1..=chars_max).contains(&text.chars().count());
    if fits && !text.chars().any(char::is_control) {
        return Ok(());
    }
    refused(
        field,
        format!("1 to {chars_max} characters, no control characters"),
    )
}

fn within(field: &'static str, value: f64, least: f64, most: f64) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    refused(field, format!("{least} to {most}"))
}

impl Fields {
    pub(super) fn of_new(new: &NewNode) -> Result<(String, Self), Error> {
        let id = match check_node_id(&new.node_id) {
            Ok(id) => id.to_owned(),
            Err(reason) => return refused("node_id", reason),
        };
        let fields = Self::of_change(&ChangeNode {
            country: Some(Some(new.country.clone())),
            region: Some(Some(new.region.clone())),
            city: new.city.clone().map(Some),
            lat: new.lat.map(Some),
            lng: new.lng.map(Some),
            interval_s: new.interval_s.map(Some),
            tags: new.tags.clone().map(Some),
        })?;
        Ok((id, fields))
    }

    pub(super) fn of_change(change: &ChangeNode) -> Result<Self, Error> {
        let mut fields = Self::default();
        if let Some(country) = fields.take("country", &change.country) {
            if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
                return refused("country", "two letters A-Z");
            }
            fields.country = Some(country);
        }
        if let Some(region) = fields.take("region", &change.region) {
            text("region", &region, REGION_CHARS_MAX)?;
            fields.region = Some(region);
        }
        if let Some(city) = fields.take("city", &change.city) {
            text("city", &city, REGION_CHARS_MAX)?;
            fields.city = Some(city);
        }
        if let Some(lat) = fields.take("lat", &change.lat) {
            within("lat", lat, -90.0, 90.0)?;
            fields.lat = Some(lat);
        }
        if let Some(lng) = fields.take("lng", &change.lng) {
            within("lng", lng, -180.0, 180.0)?;
            fields.lng = Some(lng);
        }
        if let Some(interval_s) = fields.take("expected_interval_s", &change.interval_s) {
            within("interval_s", interval_s, INTERVAL_S_MIN, INTERVAL_S_MAX)?;
            fields.interval_s = Some(interval_s);
        }
        if let Some(tags) = fields.take("tags", &change.tags) {
            if tags.len() > TAGS_MAX {
                return refused("tags", format!("{TAGS_MAX} at most"));
            }
            for tag in &tags {
                text("tags", tag, TAG_CHARS_MAX)?;
            }
            fields.tags = Some(tags);
        }
        Ok(fields)
    }

    /// The new value, if there is one; notes which word counts from now on.
    fn take<T: Clone>(&mut self, column: &'static str, sent: &Option<Option<T>>) -> Option<T> {
        match sent {
            None => None,
            Some(None) => {
                self.unpin.push(column);
                None
            }
            Some(Some(value)) => {
                self.pin.push(column);
                Some(value.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(json: &str) -> Result<Fields, Error> {
        Fields::of_change(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn what_is_not_there_stays_null_is_given_back_and_a_value_is_pinned() {
        let fields =
            change(r#"{"city": null, "lat": 5.6, "tags": [], "interval_s": null}"#).unwrap();
        assert_eq!(fields.pin, ["lat", "tags"]);
        assert_eq!(fields.unpin, ["city", "expected_interval_s"]);
        assert_eq!(
            (fields.city, fields.lat, fields.tags),
            (None, Some(5.6), Some(vec![]))
        );
        assert_eq!(change("{}").unwrap(), Fields::default());
    }

    #[test]
    fn a_bad_field_is_refused_by_name() {
        for (json, field) in [
            (r#"{"country": "gh"}"#, "country"),
            (r#"{"country": "GHA"}"#, "country"),
            (r#"{"region": ""}"#, "region"),
            (r#"{"city": "a\u0000b"}"#, "city"),
            (r#"{"lat": 90.1}"#, "lat"),
            (r#"{"lng": -181}"#, "lng"),
            (r#"{"interval_s": 0}"#, "interval_s"),
            (r#"{"tags": ["ok", "a\nb"]}"#, "tags"),
        ] {
            let error = change(json).unwrap_err().to_string();
            assert!(error.starts_with(field), "{json}: {error}");
        }
    }
}
