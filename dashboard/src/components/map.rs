use fiber_contract::NodeState;
use fiber_contract::geo::country_centroid;
use leptos::html::Div;
use leptos::prelude::*;

use super::map_mark::{Card, MarkView};
use super::measure::measure;
use crate::chart::cluster::{Mark, Spot, cluster};
use crate::chart::geography::Drawing;
use crate::chart::projection::{Projection, View};
use crate::slim::memo;
use crate::state::atlas::Atlas;
use crate::state::fleet::Node;
use crate::state::live::Live;

/// Pixels around the outermost nodes: half a large mark, and room for its label.
const MARGIN_PX: f64 = 44.0;

/// What the map tells about a mark, and whether a click keeps it open.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) mark: Mark,
    pub(crate) pinned: bool,
}

/// Where every node stands and what lies under it; redone when nodes move, not when they change.
#[derive(Clone, Copy)]
struct Ground {
    places: Memo<Vec<(String, (f64, f64))>>,
    projection: Memo<Projection>,
    view: Memo<View>,
    drawing: Memo<Drawing>,
}

impl Ground {
    fn fit(live: Live, size: ReadSignal<(f64, f64)>) -> Self {
        let atlas = Atlas::expect();
        let places = memo(move || {
            live.fleet.with(|fleet| {
                fleet
                    .nodes
                    .iter()
                    .filter_map(|(id, node)| Some((id.clone(), location_of(node)?)))
                    .collect::<Vec<_>>()
            })
        });
        let projection = memo(move || {
            places.with(|places| {
                Projection::around(&places.iter().map(|(_, place)| *place).collect::<Vec<_>>())
            })
        });
        let view = memo(move || {
            let ((width, height), projection) = (size.get(), projection.get());
            let points: Vec<_> = places.with(|places| {
                places
                    .iter()
                    .map(|(_, (lat, lng))| projection.flatten(*lat, *lng))
                    .collect()
            });
            View::fit(&points, width, height, MARGIN_PX)
        });
        let drawing = memo(move || {
            let (projection, view) = (projection.get(), view.get());
            atlas.geography.with(|geography| match geography {
                Some(geography) if view.width > 0.0 => geography.draw(projection, view),
                _ => Drawing::default(),
            })
        });
        Self {
            places,
            projection,
            view,
            drawing,
        }
    }

    /// The nodes as they are now, those that would cover each other joined.
    fn marks(self, live: Live) -> Vec<Mark> {
        let (projection, view) = (self.projection.get(), self.view.get());
        if view.width <= 0.0 {
            return Vec::new();
        }
        let spots = live.fleet.with(|fleet| {
            let state_of = |id: &str| {
                fleet
                    .nodes
                    .get(id)
                    .map_or(NodeState::Unobserved, |node| node.state)
            };
            self.places.with(|places| {
                places
                    .iter()
                    .map(|(id, (lat, lng))| {
                        let (x, y) = view.pixel(projection.flatten(*lat, *lng));
                        Spot {
                            id: id.clone(),
                            state: state_of(id),
                            x,
                            y,
                        }
                    })
                    .collect()
            })
        });
        cluster(spots)
    }
}

/// The fleet on a map that needs no network but the engine.
#[component]
pub(crate) fn FleetMap() -> impl IntoView {
    let live = Live::expect();
    let frame = NodeRef::<Div>::new();
    let size = measure(frame);
    let ground = Ground::fit(live, size);
    let marks = memo(move || ground.marks(live));
    let told = RwSignal::new(None::<Told>);
    view! {
        <section class="panel map" aria-label="Map of the nodes; the table lists the same nodes"
            on:keydown=move |event| {
                if event.key() == "Escape" {
                    told.set(None);
                }
            }>
            <div class="map-frame" node_ref=frame on:click=move |_| told.set(None)>
                <svg class="map-ground" aria-hidden="true">
                    <path class="land" d=move || ground.drawing.with(|drawing| drawing.land.clone())/>
                    <path class="borders" d=move || ground.drawing.with(|drawing| drawing.borders.clone())/>
                </svg>
                <For each=move || marks.get() key=Mark::key let:mark>
                    <MarkView mark told/>
                </For>
                <Card told size/>
            </div>
        </section>
    }
}

/// Where a node said it is, else the middle of its country.
fn location_of(node: &Node) -> Option<(f64, f64)> {
    node.lat
        .zip(node.lng)
        .filter(|(lat, lng)| lat.abs() <= 90.0 && lng.abs() <= 180.0)
        .or_else(|| country_centroid(&node.country))
}
