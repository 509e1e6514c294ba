//! From data to geometry. Pure: values in, coordinates and path data out, so all of it is tested
//! on the host.

use std::fmt::{self, Write};

pub(crate) mod cluster;
pub(crate) mod fan;
pub(crate) mod frame;
pub(crate) mod geography;
pub(crate) mod heat;
pub(crate) mod pen;
pub(crate) mod picture;
pub(crate) mod projection;
pub(crate) mod reading;
pub(crate) mod scale;
pub(crate) mod smoke;
pub(crate) mod strip;
pub(crate) mod ticks;
pub(crate) mod trig;

/// Appends to path data without a text in between.
fn push(path: &mut String, part: fmt::Arguments<'_>) {
    path.write_fmt(part).expect("a String takes every text");
}
