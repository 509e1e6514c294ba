//! Who looks at the page, and what that one may do. The engine decides; this only hides what would
//! be refused.

use fiber_contract::access::{Me, Role};
use leptos::prelude::*;

use crate::api;
use crate::api::client::on_signed_out;
use crate::router::{Router, Step};
use crate::routes::Page;

/// The key of the address to go back to after signing in.
pub(crate) const NEXT: &str = "next";

#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    /// `None` until the engine has answered, and when nobody is signed in.
    pub(crate) me: RwSignal<Option<Me>>,
    router: Router,
}

impl Session {
    pub(crate) fn provide() -> Self {
        let session = Self {
            me: RwSignal::new(None),
            router: Router::expect(),
        };
        provide_context(session);
        on_signed_out(move || session.lost());
        session.look();
        session
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    /// Asks the engine anew.
    pub(crate) fn look(self) {
        api::access::me(move |answer| match answer {
            Ok(me) => {
                self.me.try_set(Some(me));
            }
            // An engine that cannot be reached says nothing about who one is.
            Err(api::error::Error::Refused { status: 401, .. }) => self.lost(),
            Err(_) => {}
        });
    }

    /// Whether to offer what needs this role.
    pub(crate) fn may(self, least: Role) -> bool {
        self.me
            .with(|me| me.as_ref().is_some_and(|me| me.role >= least))
    }

    pub(crate) fn leave(self) {
        // Signed out here, even if the engine could not be told.
        api::access::logout(move |_| {
            self.me.try_set(None);
            self.router.go(&Page::SignIn.href(), Step::NewPage);
            self.look();
        });
    }

    /// To the page that asks who one is, and from there back to this one.
    fn lost(self) {
        self.me.try_set(None);
        let here = self.router.with_untracked(|address| {
            (Page::at(address) != Some(Page::SignIn)).then(|| address.href())
        });
        if let Some(here) = here {
            self.router.go(&sign_in_href(&here), Step::Replace);
        }
    }
}

/// The sign-in page, with the way back.
pub(crate) fn sign_in_href(next: &str) -> String {
    let page = Page::SignIn.href();
    if next == "/" || next == page {
        return page;
    }
    format!("{page}?{NEXT}={}", api::client::encode(next))
}

/// Where to go after signing in: only ever a page of ours, whatever a link says.
pub(crate) fn way_back(next: Option<&str>) -> String {
    let ours = |next: &&str| {
        next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\n', '\t', '\r'])
    };
    next.filter(ours).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_away_from_here() {
        assert_eq!(way_back(Some("/nodes?q=a&sort=p95")), "/nodes?q=a&sort=p95");
        for next in [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "/\t/evil.example",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(way_back(Some(next)), "/", "{next}");
        }
        assert_eq!(way_back(None), "/");
    }
}
