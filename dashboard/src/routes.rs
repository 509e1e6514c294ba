//! The addresses of the pages, written down once.

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
