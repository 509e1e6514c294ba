//! A bug shows a banner with a reload link, never a dead page.

use std::panic;

use leptos::prelude::document;

/// The banner is part of the static page, hidden: after a panic nothing can be rendered any more.
const BANNER_ID: &str = "crash";

pub(crate) fn install() {
    panic::set_hook(Box::new(|info| {
        web_sys::console::error_1(&info.to_string().into());
        if let Some(banner) = document().get_element_by_id(BANNER_ID) {
            drop(banner.remove_attribute("hidden"));
        }
    }));
}
