//! The map's geography: fetched when a page first shows a map, then kept.

use std::sync::Arc;

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api;
use crate::chart::geography::Geography;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Atlas {
    pub(crate) geography: RwSignal<Option<Arc<Geography>>>,
    asked: StoredValue<bool>,
}

impl Atlas {
    pub(crate) fn provide() {
        provide_context(Self {
            geography: RwSignal::new(None),
            asked: StoredValue::new(false),
        });
    }

    /// Without geography the nodes still stand in their places, on plain ground.
    pub(crate) fn expect() -> Self {
        let atlas: Self = expect_context();
        if !atlas.asked.get_value() {
            atlas.asked.set_value(true);
            spawn_local(async move {
                let Some(url) = address() else { return };
                match api::client::file(&url).await {
                    Ok(file) => {
                        let geography = Geography::decode(&file).map(Arc::new);
                        atlas.geography.try_set(geography);
                    }
                    Err(_) => {
                        atlas.asked.try_set_value(false);
                    }
                }
            });
        }
        atlas
    }
}

/// The build writes the file's hashed name into the page.
fn address() -> Option<String> {
    document()
        .query_selector("link[data-asset=map]")
        .ok()??
        .get_attribute("href")
}
