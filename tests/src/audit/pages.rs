//! Every page of the dashboard, and how to tell that it is whole.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    pub name: &'static str,
    /// With a query where the page has more to show with one.
    pub path: &'static str,
    /// Only who is signed in as an admin sees it.
    pub admin: bool,
    /// An expression that is true when the page shows what it is for.
    #[serde(skip)]
    pub ready: &'static str,
}

pub const PAGES: &[Page] = &[
    Page {
        name: "overview",
        path: "/",
        admin: false,
        ready: "document.querySelector('.map .mark') && document.querySelector('.chart canvas') \
                && document.querySelector('.nodes .body .row')",
    },
    Page {
        name: "nodes",
        path: "/nodes",
        admin: false,
        ready: "document.querySelectorAll('.nodes .body .row').length > 5",
    },
    Page {
        name: "node",
        path: "/nodes/accra-01?range=6h",
        admin: false,
        ready: "document.querySelector('.chart canvas') && document.querySelector('main h1')",
    },
    Page {
        name: "regions",
        path: "/regions?range=6h",
        admin: false,
        ready: "document.querySelectorAll('.regions tbody tr').length > 2",
    },
    Page {
        name: "compare",
        path: "/compare?with=accra-01~lagos-01&range=6h",
        admin: false,
        ready: "document.querySelector('.legend tbody tr, .legend li, .chart canvas')",
    },
    Page {
        name: "ledger",
        path: "/ledger?range=6h&batch=0190a7a0-0000-7000-9000-00000000a0d1",
        admin: false,
        ready: "document.querySelectorAll('.account tbody tr').length > 5 \
                && document.querySelector('.receipt .facts')",
    },
    Page {
        name: "system",
        path: "/system",
        admin: false,
        ready: "document.querySelectorAll('.part').length > 4",
    },
    Page {
        name: "users",
        path: "/users",
        admin: true,
        ready: "document.querySelectorAll('.figures tbody tr').length > 1",
    },
    Page {
        name: "keys",
        path: "/keys",
        admin: true,
        ready: "document.querySelectorAll('.figures tbody tr').length > 1",
    },
    Page {
        name: "sign-in",
        path: "/sign-in",
        admin: false,
        ready: "document.querySelector('.sign-in input[type=password]')",
    },
    Page {
        name: "missing",
        path: "/no-such-page",
        admin: false,
        ready: "document.querySelector('main h1')",
    },
];

pub fn find(name: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.name == name)
}
