//! The reactive constructors, compiled once for each type of value instead of once for each closure.
//!
//! What Leptos makes of a closure is compiled anew for every one of them, one to three kilobytes a
//! piece, and the pages have a hundred. Here the closure is behind a pointer, so that all of them
//! share one piece of code. A call through a pointer is nothing beside what it then does to the page.

use leptos::prelude::*;

/// A value that is worked out again when what it reads has changed.
pub(crate) fn memo<T: PartialEq + Send + Sync + 'static>(
    compute: impl Fn() -> T + Send + Sync + 'static,
) -> Memo<T> {
    boxed_memo(Box::new(compute))
}

fn boxed_memo<T: PartialEq + Send + Sync + 'static>(
    compute: Box<dyn Fn() -> T + Send + Sync>,
) -> Memo<T> {
    Memo::new(move |_| compute())
}

/// A value that is worked out with every look.
pub(crate) fn derive<T: Send + Sync + 'static>(
    compute: impl Fn() -> T + Send + Sync + 'static,
) -> Signal<T> {
    boxed_derive(Box::new(compute))
}

fn boxed_derive<T: Send + Sync + 'static>(compute: Box<dyn Fn() -> T + Send + Sync>) -> Signal<T> {
    Signal::derive(compute)
}

/// Something that is done again when what it reads has changed.
pub(crate) fn effect(run: impl Fn() + 'static) {
    boxed_effect(Box::new(run));
}

fn boxed_effect(run: Box<dyn Fn()>) {
    Effect::new(run);
}

/// A part of a view that changes.
pub(crate) fn dynamic<V: IntoView + 'static>(view: impl Fn() -> V + Send + 'static) -> AnyView {
    boxed_view(Box::new(move || view().into_any()))
}

fn boxed_view(view: Box<dyn Fn() -> AnyView + Send>) -> AnyView {
    (move || view()).into_any()
}
