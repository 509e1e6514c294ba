use fiber_contract::UnixMicros;
use fiber_contract::access::{IssuedKey, KeyView, Role};
use leptos::html::Input;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api;
use crate::api::error::Error;
use crate::components::confirm::Confirm;
use crate::components::gate::Gate;
use crate::components::notice::{Failure, Problem};
use crate::format;
use crate::routes::Page;
use crate::slim::dynamic;
use crate::state::live::Live;
use crate::state::prefs::Prefs;

/// Keys of single probes, for admins.
#[component]
pub(crate) fn KeysPage() -> impl IntoView {
    view! { <Gate title="Keys of probes" least=Role::Admin><Keys/></Gate> }
}

#[derive(Clone, Copy)]
struct List {
    keys: RwSignal<Option<Result<Vec<KeyView>, Error>>>,
    problem: RwSignal<Option<Error>>,
    /// Told once; gone with the page.
    issued: RwSignal<Option<IssuedKey>>,
}

impl List {
    fn ask(self) {
        api::access::keys(move |answer| {
            self.keys.try_set(Some(answer));
        });
    }

    fn revoke(self, key_id: &str) {
        self.problem.set(None);
        api::access::revoke_key(key_id, move |answer| {
            self.ask();
            if let Err(error) = answer {
                self.problem.try_set(Some(error));
            }
        });
    }
}

#[component]
fn Keys() -> impl IntoView {
    let list = List {
        keys: RwSignal::new(None),
        problem: RwSignal::new(None),
        issued: RwSignal::new(None),
    };
    list.ask();
    let rows = move |keys: Vec<KeyView>| {
        if keys.is_empty() {
            let none =
                "No probe has a key of its own. Probes without one send the federation secret.";
            return view! { <tr><td colspan="5">{none}</td></tr> }.into_any();
        }
        keys.into_iter()
            .map(|key| view! { <Row key list/> })
            .collect_view()
            .into_any()
    };
    view! {
        <Issue list/>
        <Problem problem=list.problem/>
        {dynamic(move || list.issued.get().map(|issued| view! { <Told issued list/> }))}
        <section class="panel">
            {dynamic(move || match list.keys.get() {
                Some(Err(error)) => view! { <Failure error retry=move || list.ask()/> }.into_any(),
                found => view! {
                    <div class="scroll" tabindex="0" role="region" aria-label="Keys">
                        <table class="figures">
                            <thead>
                                <tr>
                                    <th scope="col">"Node"</th>
                                    <th scope="col">"State"</th>
                                    <th scope="col">"Issued"</th>
                                    <th scope="col">"Key id"</th>
                                    <th scope="col">"Change"</th>
                                </tr>
                            </thead>
                            <tbody>{found.and_then(Result::ok).map(rows)}</tbody>
                        </table>
                    </div>
                }.into_any(),
            })}
        </section>
    }
}

#[component]
fn Row(key: KeyView, list: List) -> impl IntoView {
    let (live, prefs) = (Live::expect(), Prefs::expect());
    let when = move |at: UnixMicros| format::date_clock(prefs.zone.get().zoned(at));
    let expired = key.expires_at.is_some_and(|at| at <= live.engine_now());
    let usable = key.revoked_at.is_none() && !expired;
    let (revoked_at, expires_at) = (key.revoked_at, key.expires_at);
    let state = move || match (revoked_at, expires_at) {
        (Some(at), _) => format!("revoked {}", when(at)),
        (None, Some(at)) if expired => format!("expired {}", when(at)),
        (None, Some(at)) => format!("valid until {}", when(at)),
        (None, None) => "valid".to_owned(),
    };
    let id = StoredValue::new(key.key_id.clone());
    let question = format!("Revoke {}'s key?", key.node_id);
    view! {
        <tr>
            <th scope="row"><a href=Page::Node(key.node_id.clone()).href()>{key.node_id.clone()}</a></th>
            <td>
                <span class=if usable { "state-word tone-up" } else { "state-word tone-unobserved" }>{state}</span>
            </td>
            <td>{dynamic(move || when(key.created_at))}</td>
            <td><code>{key.key_id.clone()}</code></td>
            <td class="acts">
                {usable.then(|| view! {
                    <Confirm label="Revoke" question act=move || list.revoke(&id.get_value())/>
                })}
            </td>
        </tr>
    }
}

#[component]
fn Issue(list: List) -> impl IntoView {
    let (node, days) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let issue = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let (Some(node), Some(days)) = (node.get_untracked(), days.get_untracked()) else {
            return;
        };
        list.problem.set(None);
        list.issued.set(None);
        let wanted = node.value();
        let heard = move |answer| match answer {
            Ok(issued) => {
                node.set_value("");
                list.issued.try_set(Some(issued));
                list.ask();
            }
            Err(error) => {
                list.problem.try_set(Some(error));
            }
        };
        api::access::issue_key(wanted.trim(), days.value().trim().parse().ok(), heard);
    };
    view! {
        <form class="panel tools add" on:submit=issue>
            <h2>"Issue a key"</h2>
            <input type="text" aria-label="Node of the new key" placeholder="Node, as named" required=true
                autocomplete="off" autocapitalize="none" spellcheck="false" node_ref=node/>
            <input type="number" class="narrow" aria-label="Days until the key expires" placeholder="Days, or none"
                min="1" max="3650" node_ref=days/>
            <button type="submit" class="button primary">"Issue"</button>
        </form>
    }
}

/// The one time that the key is shown.
#[component]
fn Told(issued: IssuedKey, list: List) -> impl IntoView {
    let copied = RwSignal::new(None::<bool>);
    let key = StoredValue::new(issued.key.clone());
    let copy = move |_| {
        spawn_local(async move {
            let clipboard = window().navigator().clipboard();
            let written = clipboard.write_text(&key.get_value());
            let done = wasm_bindgen_futures::JsFuture::from(written).await;
            copied.try_set(Some(done.is_ok()));
        });
    };
    view! {
        <section class="panel told" role="status">
            <h2>{format!("Key of {}", issued.view.node_id)}</h2>
            <p>"Copy it to the probe now: it is shown this one time and kept nowhere."</p>
            <pre class="command" tabindex="0"><code class="issued">{issued.key}</code></pre>
            <p class="acts">
                <button type="button" class="button primary" on:click=copy>"Copy"</button>
                <button type="button" class="button" on:click=move |_| list.issued.set(None)>"Done"</button>
                <span>{dynamic(move || match copied.get() {
                    Some(true) => "Copied.",
                    Some(false) => "The browser does not allow it: select and copy by hand.",
                    None => "",
                })}</span>
            </p>
        </section>
    }
}
