//! The addresses of the pages, written down once.

use leptos_router::params::ParamsMap;

use crate::api::client::encode;

/// A page with what its address holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Overview,
    Nodes,
    Node(String),
    System,
}

impl Page {
    /// Node ids are made of characters that stand in a path as they are.
    pub(crate) fn href(&self) -> String {
        match self {
            Self::Overview => "/".to_owned(),
            Self::Nodes => "/nodes".to_owned(),
            Self::Node(id) => format!("/nodes/{id}"),
            Self::System => "/system".to_owned(),
        }
    }
}

/// The query of the page that is shown, with one value changed. Everything else in it stays: the
/// range of a chart and the filter of a table share one address. With the path, because a program
/// navigates from the root.
pub(crate) fn with_query(now: &ParamsMap, key: &str, value: Option<&str>) -> String {
    let mut pairs: Vec<(&str, &str)> = now
        .latest_values()
        .filter(|(other, _)| *other != key)
        .map(|(other, value)| (other.as_ref(), value))
        .collect();
    pairs.extend(
        value
            .filter(|value| !value.is_empty())
            .map(|value| (key, value)),
    );
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    let path = leptos::prelude::location().pathname().unwrap_or_default();
    format!("{path}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_its_own_address() {
        assert_eq!(
            Page::Node("lagos-01:a.b_c".to_owned()).href(),
            "/nodes/lagos-01:a.b_c"
        );
    }
}
