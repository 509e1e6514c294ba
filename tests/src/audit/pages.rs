//! Every page of the dashboard, and how to tell that it is whole.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    pub name: &'static str,
    /// With a query where the page has more to show with one.
    pub path: &'static str,
    /// An expression that is true when the page shows what it is for.
    #[serde(skip)]
    pub ready: &'static str,
}

pub const PAGES: &[Page] = &[
    Page {
        name: "overview",
        path: "/",
        ready: "document.querySelector('.map .mark') && document.querySelector('.chart path.line') \
                && document.querySelector('.nodes .body .row')",
    },
    Page {
        name: "nodes",
        path: "/nodes",
        ready: "document.querySelectorAll('.nodes .body .row').length > 5",
    },
    Page {
        name: "node",
        path: "/nodes/accra-01?range=6h",
        ready: "document.querySelector('.chart path.line') && document.querySelector('main h1')",
    },
    Page {
        name: "ledger",
        path: "/ledger?range=6h&batch=0190a7a0-0000-7000-9000-00000000a0d1",
        ready: "document.querySelectorAll('.account tbody tr').length > 5 \
                && document.querySelector('.receipt .facts')",
    },
    Page {
        name: "system",
        path: "/system",
        ready: "document.querySelectorAll('.part').length > 4",
    },
    Page {
        name: "missing",
        path: "/no-such-page",
        ready: "document.querySelector('main h1')",
    },
];

pub fn find(name: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.name == name)
}
