//! Judges the built dashboard in a real browser: accessibility with axe-core, the first load with
//! Lighthouse as a phone on a slow network sees it.
//!
//! Every figure has its bar here, and a figure that misses it fails the audit.

pub mod axe;
pub mod lighthouse;
mod pages;
mod report;

pub use pages::{PAGES, Page, find};
pub use report::{Report, table};
