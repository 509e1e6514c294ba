use fiber_contract::access::Role;
use leptos::html::{Details, Input};
use leptos::prelude::*;

use super::notice::Problem;
use crate::api;
use crate::api::error::Error;
use crate::format::fixed;
use crate::slim::memo;
use crate::state::fleet::Node;
use crate::state::session::Session;

/// Tags and expected interval of a node, for operators.
#[component]
pub(crate) fn NodeEdit(id: String, node: Memo<Option<Node>>) -> impl IntoView {
    let session = Session::expect();
    let allowed = memo(move || session.may(Role::Operator));
    move || allowed.get().then(|| view! { <Form id=id.clone() node/> })
}

#[component]
fn Form(id: String, node: Memo<Option<Node>>) -> impl IntoView {
    let (tags, interval) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let fold = NodeRef::<Details>::new();
    let problem = RwSignal::new(None::<Error>);
    let id = StoredValue::new(id);
    // Filled when it is opened: what is typed must not be overwritten by the next sample.
    let fill = move |_| {
        let Some(Some(now)) = node.try_get_untracked() else {
            return;
        };
        if let (Some(tags), Some(interval)) = (tags.get_untracked(), interval.get_untracked()) {
            tags.set_value(&now.tags.join(", "));
            interval.set_value(&fixed(now.interval_s, 1).to_string());
        }
    };
    let save = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let (Some(tags), Some(interval)) = (tags.get_untracked(), interval.get_untracked()) else {
            return;
        };
        let tags = split(&tags.value());
        let interval = interval.value();
        problem.set(None);
        let heard = move |answer| match answer {
            Ok(()) => {
                if let Some(Some(fold)) = fold.try_get_untracked() {
                    fold.set_open(false);
                }
            }
            Err(error) => {
                problem.try_set(Some(error));
            }
        };
        api::nodes::change(&id.get_value(), &tags, &interval, heard);
    };
    view! {
        <details class="absolute node-edit" node_ref=fold on:toggle=fill>
            <summary class="button">"Edit"</summary>
            <form on:submit=save>
                <label>
                    "Tags "
                    <input type="text" node_ref=tags autocapitalize="none" placeholder="fibre, rooftop"/>
                </label>
                <label>
                    "Every, s "
                    <input type="number" node_ref=interval min="0.1" max="86400" step="any"/>
                </label>
                <Problem problem/>
                <button type="submit" class="button primary">"Save"</button>
            </form>
        </details>
    }
}

/// Tags between commas; what is empty is none.
fn split(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_stand_between_commas() {
        assert_eq!(split(" fibre, ,roof top,"), ["fibre", "roof top"]);
        assert!(split("").is_empty());
    }
}
