//! The addresses of the pages, written down once.

use crate::router::Address;

/// A page with what its address holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Overview,
    Nodes,
    Node(String),
    Regions,
    Compare,
    Ledger,
    System,
    Users,
    Keys,
    SignIn,
}

impl Page {
    /// Node ids are made of characters that stand in a path as they are.
    pub(crate) fn href(&self) -> String {
        match self {
            Self::Overview => "/".to_owned(),
            Self::Nodes => "/nodes".to_owned(),
            Self::Node(id) => format!("/nodes/{id}"),
            Self::Regions => "/regions".to_owned(),
            Self::Compare => "/compare".to_owned(),
            Self::Ledger => "/ledger".to_owned(),
            Self::System => "/system".to_owned(),
            Self::Users => "/users".to_owned(),
            Self::Keys => "/keys".to_owned(),
            Self::SignIn => "/sign-in".to_owned(),
        }
    }

    /// `None` for an address that no page has.
    pub(crate) fn at(address: &Address) -> Option<Self> {
        let mut parts = address.path.split('/').filter(|part| !part.is_empty());
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => Some(Self::Overview),
            (Some("nodes"), None, _) => Some(Self::Nodes),
            (Some("nodes"), Some(id), None) => Some(Self::Node(id.to_owned())),
            (Some("regions"), None, _) => Some(Self::Regions),
            (Some("compare"), None, _) => Some(Self::Compare),
            (Some("ledger"), None, _) => Some(Self::Ledger),
            (Some("system"), None, _) => Some(Self::System),
            (Some("users"), None, _) => Some(Self::Users),
            (Some("keys"), None, _) => Some(Self::Keys),
            (Some("sign-in"), None, _) => Some(Self::SignIn),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_found_at_its_own_address() {
        for page in [
            Page::Overview,
            Page::Nodes,
            Page::Node("lagos-01:a.b_c".to_owned()),
            Page::Regions,
            Page::Compare,
            Page::Ledger,
            Page::System,
            Page::Users,
            Page::Keys,
            Page::SignIn,
        ] {
            assert_eq!(Page::at(&Address::parse(&page.href(), "")), Some(page));
        }
    }

    #[test]
    fn other_addresses_are_nobodys() {
        for path in ["/x", "/nodes/a/b", "/systems", "/%zz"] {
            assert_eq!(Page::at(&Address::parse(path, "")), None, "{path}");
        }
        let slashed = Address::parse("/nodes/", "");
        assert_eq!(Page::at(&slashed), Some(Page::Nodes));
    }
}
