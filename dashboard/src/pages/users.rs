use fiber_contract::UnixMicros;
use fiber_contract::access::{Role, UserView};
use leptos::html::{Input, Select};
use leptos::prelude::*;

use crate::api;
use crate::api::access::Change;
use crate::api::error::Error;
use crate::components::confirm::Confirm;
use crate::components::gate::Gate;
use crate::components::notice::{Failure, Problem};
use crate::format;
use crate::slim::dynamic;
use crate::state::prefs::Prefs;
use crate::state::session::Session;

const ROLES: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

/// Who may sign in, for admins.
#[component]
pub(crate) fn UsersPage() -> impl IntoView {
    view! { <Gate title="Users" least=Role::Admin><Users/></Gate> }
}

/// The list, and what an answer to a change does to it.
#[derive(Clone, Copy)]
struct List {
    users: RwSignal<Option<Result<Vec<UserView>, Error>>>,
    problem: RwSignal<Option<Error>>,
}

impl List {
    fn ask(self) {
        api::access::users(move |answer| {
            self.users.try_set(Some(answer));
        });
    }

    fn change(self, name: &str, change: &Change) {
        self.problem.set(None);
        api::access::change_user(name, change, move |answer| self.settle(answer));
    }

    fn settle(self, answer: Result<(), Error>) {
        // Also after a refusal: a switch that was moved goes back.
        self.ask();
        if let Err(error) = answer {
            self.problem.try_set(Some(error));
        }
    }
}

#[component]
fn Users() -> impl IntoView {
    let list = List {
        users: RwSignal::new(None),
        problem: RwSignal::new(None),
    };
    list.ask();
    let rows = move |users: Vec<UserView>| {
        users
            .into_iter()
            .map(|user| view! { <Row user list/> })
            .collect_view()
    };
    view! {
        <AddUser list/>
        <Problem problem=list.problem/>
        <section class="panel">
            {dynamic(move || match list.users.get() {
                Some(Err(error)) => view! { <Failure error retry=move || list.ask()/> }.into_any(),
                found => view! {
                    <div class="scroll" tabindex="0" role="region" aria-label="Users">
                        <table class="figures">
                            <thead>
                                <tr>
                                    <th scope="col">"Name"</th>
                                    <th scope="col">"Role"</th>
                                    <th scope="col">"State"</th>
                                    <th scope="col">"Last signed in"</th>
                                    <th scope="col">"Since"</th>
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
fn Row(user: UserView, list: List) -> impl IntoView {
    let (session, prefs) = (Session::expect(), Prefs::expect());
    let when = move |at: Option<UnixMicros>| {
        at.map_or("never".to_owned(), |at| {
            format::date_clock(prefs.zone.get().zoned(at))
        })
    };
    // Who takes the own role away, or the own name, is locked out.
    let own = session
        .me
        .with_untracked(|me| me.as_ref().is_some_and(|me| me.name == user.name));
    let (name, disabled) = (user.name.clone(), user.disabled);
    let kept = StoredValue::new(name.clone());
    let change = move |change: Change| list.change(&kept.get_value(), &change);
    let remove = move || change(Change::Remove);
    let password = NodeRef::<Input>::new();
    let set_password = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        if let Some(field) = password.get_untracked() {
            change(Change::Password(field.value()));
            field.set_value("");
        }
    };
    view! {
        <tr>
            <th scope="row">{name.clone()} {own.then(|| view! { <small>" you"</small> })}</th>
            <td>
                <RolePicker label=format!("Role of {name}") current=user.role off=own
                    chosen=move |role| change(Change::Role(role))/>
            </td>
            <td>
                <span class=if disabled { "state-word tone-unobserved" } else { "state-word tone-up" }>
                    {if disabled { "disabled" } else { "may sign in" }}
                </span>
            </td>
            <td>{dynamic(move || when(user.last_login_at))}</td>
            <td>{dynamic(move || when(Some(user.created_at)))}</td>
            <td class="acts">
                <form on:submit=set_password>
                    <input type="password" autocomplete="new-password" required=true minlength="12"
                        placeholder="New password" aria-label=format!("New password of {name}")
                        node_ref=password/>
                    <button type="submit" class="button">"Set"</button>
                </form>
                {(!own).then(|| view! {
                    <button type="button" class="button" on:click=move |_| change(Change::Disabled(!disabled))>
                        {if disabled { "Enable" } else { "Disable" }}
                    </button>
                    <Confirm label="Remove" question=format!("Remove {name}?") act=remove/>
                })}
            </td>
        </tr>
    }
}

#[component]
fn RolePicker(
    label: String,
    current: Role,
    off: bool,
    chosen: impl Fn(Role) + 'static,
) -> impl IntoView {
    let options = ROLES
        .map(|role| view! { <option value=role.as_str() selected=role == current>{role.as_str()}</option> });
    view! {
        <select aria-label=label disabled=off
            on:change=move |event| {
                let wanted = event_target_value(&event);
                if let Some(role) = ROLES.into_iter().find(|role| role.as_str() == wanted) {
                    chosen(role);
                }
            }>
            {options}
        </select>
    }
}

#[component]
fn AddUser(list: List) -> impl IntoView {
    let (name, password) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let role = NodeRef::<Select>::new();
    let add = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let (Some(name), Some(password), Some(role)) = (
            name.get_untracked(),
            password.get_untracked(),
            role.get_untracked(),
        ) else {
            return;
        };
        let wanted = ROLES
            .into_iter()
            .find(|one| one.as_str() == role.value())
            .unwrap_or(Role::Viewer);
        list.problem.set(None);
        let (wanted_name, wanted_password) = (name.value(), password.value());
        let heard = move |answer: Result<(), Error>| {
            if answer.is_ok() {
                name.set_value("");
                password.set_value("");
            }
            list.settle(answer);
        };
        api::access::add_user(wanted_name.trim(), &wanted_password, wanted, heard);
    };
    view! {
        <form class="panel tools add" on:submit=add>
            <h2>"Add a user"</h2>
            <input type="text" aria-label="Name of the new user" placeholder="Name" required=true
                autocomplete="off" autocapitalize="none" spellcheck="false" node_ref=name/>
            <input type="password" aria-label="Password of the new user" placeholder="Password, 12 or more"
                required=true minlength="12" autocomplete="new-password" node_ref=password/>
            <select aria-label="Role of the new user" node_ref=role>
                {ROLES.map(|role| view! { <option value=role.as_str()>{role.as_str()}</option> })}
            </select>
            <button type="submit" class="button primary">"Add"</button>
        </form>
    }
}
