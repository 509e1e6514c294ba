//! What this browser prefers: theme and time zone, kept in its local storage.

use crate::slim::effect;
use fiber_contract::UnixMicros;
use fiber_contract::time::MICROS_PER_S;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

const THEME_KEY: &str = "fiber-theme";
const ZONE_KEY: &str = "fiber-zone";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As the system says.
    System,
    Light,
    Dark,
}

impl Theme {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    fn from_stored(text: Option<&str>) -> Self {
        match text {
            Some("light") => Self::Light,
            Some("dark") => Self::Dark,
            _ => Self::System,
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    Local,
    Utc,
}

impl Zone {
    /// Minutes east of UTC at an instant.
    pub(crate) fn offset_minutes(self, at: UnixMicros) -> i64 {
        match self {
            Self::Utc => 0,
            #[expect(clippy::cast_possible_truncation, reason = "within a day")]
            Self::Local => {
                let date = js_sys::Date::new(&(at.as_millis() as f64).into());
                -(date.get_timezone_offset() as i64)
            }
        }
    }

    /// The instant whose UTC clock reads as this zone's does at `at`.
    pub(crate) fn zoned(self, at: UnixMicros) -> UnixMicros {
        UnixMicros(at.0 + self.offset_minutes(at) * 60 * MICROS_PER_S)
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Utc => "utc",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefs {
    pub(crate) theme: RwSignal<Theme>,
    pub(crate) zone: RwSignal<Zone>,
    /// Whether the system asks for dark; counts while the theme follows it.
    pub(crate) dark: RwSignal<bool>,
}

impl Prefs {
    pub(crate) fn provide() -> Self {
        let theme = RwSignal::new(Theme::from_stored(stored(THEME_KEY).as_deref()));
        let zone = match stored(ZONE_KEY).as_deref() {
            Some("utc") => Zone::Utc,
            _ => Zone::Local,
        };
        let prefs = Self {
            theme,
            zone: RwSignal::new(zone),
            dark: system_is_dark(),
        };
        effect(move || {
            let theme = theme.get();
            store(THEME_KEY, theme.as_str());
            if let Some(root) = document().document_element() {
                // Refused only for names that are no attribute names.
                drop(root.set_attribute("data-theme", theme.as_str()));
            }
        });
        effect(move || store(ZONE_KEY, prefs.zone.get().as_str()));
        provide_context(prefs);
        prefs
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    pub(crate) fn next_theme(self) {
        self.theme.update(|theme| *theme = theme.next());
    }

    pub(crate) fn other_zone(self) {
        self.zone.update(|zone| {
            *zone = if *zone == Zone::Utc {
                Zone::Local
            } else {
                Zone::Utc
            };
        });
    }
}

/// Follows the system's wish, because a canvas does not change its colours by itself.
fn system_is_dark() -> RwSignal<bool> {
    let dark = RwSignal::new(false);
    if let Ok(Some(query)) = window().match_media("(prefers-color-scheme: dark)") {
        dark.set(query.matches());
        let asked = query.clone();
        let changed = Closure::<dyn FnMut()>::new(move || {
            dark.try_set(asked.matches());
        });
        // Refused only for names that are no event.
        drop(query.add_event_listener_with_callback("change", changed.as_ref().unchecked_ref()));
        // The page listens as long as it lives.
        changed.forget();
    }
    dark
}

/// `None` where storage is switched off: the preference then lasts as long as the page.
fn stored(key: &str) -> Option<String> {
    window().local_storage().ok()??.get_item(key).ok()?
}

fn store(key: &str, value: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        drop(storage.set_item(key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_theme_survives_storage_and_the_button_passes_all() {
        let mut theme = Theme::System;
        for _ in 0..3 {
            assert_eq!(Theme::from_stored(Some(theme.as_str())), theme);
            theme = theme.next();
        }
        assert_eq!(theme, Theme::System);
        assert_eq!(Theme::from_stored(Some("sepia")), Theme::System);
    }

    #[test]
    fn utc_is_not_moved() {
        let instant = UnixMicros::from_secs(1_795_460_400);
        assert_eq!(Zone::Utc.zoned(instant), instant);
    }
}
