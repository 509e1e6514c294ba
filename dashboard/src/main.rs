//! The fleet, live, in a browser.
//!
//! Data flows one way: `api` asks the engine with the types of `fiber_contract`, `state` holds the
//! answers as signals, `pages` lay out `components` that turn values into views, and `chart` is the
//! pure geometry below them.
#![expect(
    clippy::needless_pass_by_value,
    reason = "component properties arrive by value"
)]
#![expect(
    unreachable_pub,
    reason = "the component macro writes `pub` into what it generates"
)]

mod api;
mod app;
mod chart;
mod components;
mod crash;
mod format;
mod pages;
mod router;
mod routes;
mod slim;
mod state;

fn main() {
    crash::install();
    app::mount();
}
