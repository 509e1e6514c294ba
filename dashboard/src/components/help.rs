use leptos::html::Dialog;
use leptos::prelude::*;

use super::keys::{self, Key, MAP};
use crate::slim::effect;

/// Opens the help from anywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HelpOpen(RwSignal<u32>);

impl HelpOpen {
    pub(crate) fn provide() {
        provide_context(Self(RwSignal::new(0)));
    }

    pub(crate) fn expect() -> Self {
        expect_context()
    }

    pub(crate) fn open(self) {
        self.0.update(|asked| *asked += 1);
    }
}

/// Every key and what it does: `?`.
#[component]
pub(crate) fn Help() -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let asked = HelpOpen::expect();
    keys::listen(move |key| {
        if key == Key::Help {
            asked.open();
        }
    });
    effect(move || {
        if asked.0.get() > 0
            && let Some(dialog) = dialog.get()
            && !dialog.open()
        {
            // Refused only for a dialog that is not in the page.
            drop(dialog.show_modal());
        }
    });
    view! {
        <dialog class="help" node_ref=dialog aria-labelledby="help-title">
            <form method="dialog">
                <h2 id="help-title">"Keyboard"</h2>
                <button class="button">"Close"</button>
            </form>
            <dl>
                {MAP
                    .map(|(keys, what)| view! { <div><dt><kbd>{keys}</kbd></dt><dd>{what}</dd></div> })
                    .into_iter()
                    .collect_view()}
            </dl>
        </dialog>
    }
}
