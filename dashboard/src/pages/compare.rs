use leptos::html::Input;
use leptos::prelude::*;

use crate::chart::picture::{Measure, Picture};
use crate::chart::reading::read_one;
use crate::components::chart::Chart;
use crate::components::notice::Failure;
use crate::components::time_bar::TimeBar;
use crate::format;
use crate::router::{Router, Step};
use crate::routes::Page;
use crate::slim::{dynamic, memo};
use crate::state::commands::regions;
use crate::state::comparison::{Comparison, Subject};
use crate::state::history::{History, Series};
use crate::state::live::Live;
use crate::state::view::TimeView;

/// Suggestions of the field; more are not read.
const SUGGESTED_MAX: usize = 40;
const MAIN_PX: f64 = 210.0;
const SIDE_PX: f64 = 110.0;

/// Several nodes or regions on one axis of time.
#[component]
pub(crate) fn ComparePage() -> impl IntoView {
    let router = Router::expect();
    TimeView::provide();
    let comparison = memo(move || router.with(|at| Comparison::from_query(at.value("with"))));
    view! {
        <div class="compare-page">
            <h1>"Compare"</h1>
            <section class="panel history">
                <div class="tools">
                    <Add comparison/>
                    <TimeBar/>
                </div>
                {dynamic(move || {
                    let now = comparison.get();
                    if now.0.is_empty() {
                        view! {
                            <div class="notice">
                                <p class="notice-title">"Nothing to compare yet."</p>
                                <p>"Add nodes or regions above, or open this page from the table of nodes."</p>
                            </div>
                        }
                        .into_any()
                    } else {
                        view! { <Compared comparison=now/> }.into_any()
                    }
                })}
            </section>
        </div>
    }
}

fn set(router: Router, comparison: &Comparison) {
    let text = comparison.to_query();
    router.set("with", Some(&text), Step::SamePage);
}

/// A field that suggests what the fleet has.
#[component]
fn Add(comparison: Memo<Comparison>) -> impl IntoView {
    let (router, live) = (Router::expect(), Live::expect());
    let field = NodeRef::<Input>::new();
    let text = RwSignal::new(String::new());
    let suggested = memo(move || {
        let wanted = text.get().to_lowercase();
        live.ready.track();
        live.fleet.with_untracked(|fleet| {
            let mut names = regions(fleet);
            names.extend(fleet.nodes.keys().cloned());
            names.retain(|name| name.to_lowercase().contains(&wanted));
            names.truncate(SUGGESTED_MAX);
            names
        })
    });
    let wrong = RwSignal::new(false);
    let add = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let Some(field) = field.get_untracked() else {
            return;
        };
        let name = field.value().trim().to_owned();
        let subject = live.fleet.with_untracked(|fleet| {
            if fleet.nodes.contains_key(&name) {
                Some(Subject::Node(name.clone()))
            } else {
                regions(fleet)
                    .contains(&name)
                    .then(|| Subject::Region(name.clone()))
            }
        });
        wrong.set(subject.is_none() && !name.is_empty());
        if let Some(subject) = subject {
            field.set_value("");
            text.set(String::new());
            set(router, &comparison.get_untracked().with(subject));
        }
    };
    view! {
        <form class="compare-add" on:submit=add>
            <input node_ref=field type="search" list="subjects" placeholder="Node or region"
                aria-label="Node or region to add" autocomplete="off"
                disabled=move || comparison.get().is_full()
                on:input=move |event| text.set(event_target_value(&event))/>
            <datalist id="subjects">
                {dynamic(move || suggested.get().into_iter().map(|name| view! { <option value=name></option> }).collect_view())}
            </datalist>
            <button type="submit" class="button" disabled=move || comparison.get().is_full()>"Add"</button>
            {dynamic(move || wrong.get().then(|| view! { <span class="read-note" role="alert">"No node or region of that name."</span> }))}
        </form>
    }
}

/// The charts and their legend; made anew when the list changes.
#[component]
fn Compared(comparison: Comparison) -> impl IntoView {
    let all: Vec<(u8, Subject, History)> = (0_u8..)
        .zip(comparison.0.iter().cloned())
        .map(|(at, subject)| (at, subject.clone(), History::follow(subject, false)))
        .collect();
    let histories: Vec<(u8, History)> = all.iter().map(|(at, _, it)| (*at, *it)).collect();
    let picture = move |measure: Measure| {
        let histories = histories.clone();
        memo(move || {
            let known = |(at, history): &(u8, History)| {
                let Series(answer) = history.series.get()?;
                Some((*at, answer))
            };
            Some(Picture::Many(
                measure,
                histories.iter().filter_map(known).collect(),
            ))
        })
        .into()
    };
    let charts = Measure::ALL
        .map(|measure| {
            let height_px = match measure {
                Measure::P50 | Measure::P99 => MAIN_PX,
                Measure::Loss | Measure::Uptime => SIDE_PX,
            };
            view! { <Chart title=measure.title().to_owned() height_px picture=picture(measure)/> }
        })
        .into_iter()
        .collect_view();
    let rows = all
        .into_iter()
        .map(|(at, subject, history)| {
            view! { <Row at subject history comparison=comparison.clone()/> }
        })
        .collect_view();
    view! {
        <div class="scroll">
            <table class="figures legend">
                <thead>
                    <tr>
                        <th scope="col">"Compared"</th>
                        <th scope="col">"p50 ms"</th>
                        <th scope="col">"p99 ms"</th>
                        <th scope="col">"Loss %"</th>
                        <th scope="col">"Uptime %"</th>
                        <th scope="col"><span class="hidden-text">"Remove"</span></th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        <h2 class="hidden-text">"Charts"</h2>
        <div class="charts">{charts}</div>
    }
}

/// One subject with its colour and what it says at the cursor, or at its newest step.
#[component]
fn Row(at: u8, subject: Subject, history: History, comparison: Comparison) -> impl IntoView {
    let (router, view) = (Router::expect(), TimeView::expect());
    let (name, href) = match &subject {
        Subject::Fleet => ("Whole fleet".to_owned(), Page::Overview.href()),
        Subject::Node(id) => (id.clone(), Page::Node(id.clone()).href()),
        Subject::Region(region) => (region.clone(), format!("/nodes?q={region}")),
    };
    let label = format!("Remove {name}");
    let values = Measure::ALL
        .map(|measure| {
            let value = move || {
                let instant = view.cursor.get();
                let found = history.series.get();
                let read = found.map(|Series(answer)| read_one(&answer, measure, instant));
                match read {
                    Some(Ok(value)) => value,
                    Some(Err(_)) | None => format::UNKNOWN.to_owned(),
                }
            };
            view! { <td class="num">{value}</td> }
        })
        .into_iter()
        .collect_view();
    view! {
        <tr>
            <th scope="row">
                <i class=format!("key subject-{at}")></i>
                <a href=href>{name}</a>
                {dynamic(move || history.problem.get().map(|error| view! { <Failure error retry=move || history.ask()/> }))}
            </th>
            {values}
            <td>
                <button type="button" class="button" aria-label=label
                    on:click=move |_| set(router, &comparison.without(&subject))>
                    "×"
                </button>
            </td>
        </tr>
    }
}
